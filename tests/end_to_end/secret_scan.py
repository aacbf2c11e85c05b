"""Looks for every secret value that exists, in every place where none may be."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator

from tests.end_to_end.registry_stack import RegistryStack, Sandbox


def assert_no_secret_in_plain_text(stack: RegistryStack) -> None:
    """Assert that no secret of the stack, of the account or of its users is where people or programs may read it."""
    secrets = list(_secrets(stack))
    assert len(secrets) >= 3
    needles = [form for secret in secrets for form in (secret, base64.b64encode(secret.encode()).decode())]
    for place, text in _places(stack):
        found = [needle[:4] + "..." for needle in needles if needle in text]
        assert not found, f"{place} has {found}"


def _secrets(stack: RegistryStack) -> Iterator[str]:
    yield stack.sandbox.account.secret_access_key
    for secret in stack.sandbox.get("secrets", "--namespace", stack.name)["items"]:
        content = stack.secret(secret["metadata"]["name"])
        yield from (content[key] for key in ("secretKey", "httpSecret") if key in content)
        yield from (line.partition(":")[2] for line in content.get("htpasswd", "").splitlines())
    yield from (stack.outputs.get("passwords") or {}).values()


def _places(stack: RegistryStack) -> Iterator[tuple[str, str]]:
    sandbox = stack.sandbox
    yield "the exported state", stack.pulumi("stack", "export")
    yield "the outputs", stack.pulumi("stack", "output", "--json")
    yield "what the engine printed", stack.output
    kinds = _kinds(sandbox)
    assert {"pods", "deployments.apps", "events"} <= set(kinds)
    for found in sandbox.get(",".join(kinds), "--all-namespaces")["items"]:
        yield f"the cluster's {found['kind']} {found['metadata']['name']}", json.dumps(found, ensure_ascii=False)
    for directory in (sandbox.layout.logs, sandbox.layout.container_logs):
        logs = list(directory.rglob("*.log"))
        assert logs
        for log in logs:
            yield str(log), log.read_text(errors="replace")
    for process in subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        yield "the arguments of a process", process


def _kinds(sandbox: Sandbox) -> list[str]:
    """Every kind of object that can be listed, but Secrets."""
    kinds = sandbox.kubectl("api-resources", "--verbs=list", "--output=name").split()
    return [kind for kind in kinds if kind != "secrets"]
