"""`python -m tests.upgrade --from COMMIT`: stacks of a former commit come along with this checkout's program.

Each is deployed by the former program on a sandbox of its own, then updated by this one while a client pulls and pushes
all the time, without a single retry. Prints what each resource underwent; ends with 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pulumi import automation

from sandbox.demonstration import DemonstrationError
from sandbox.layout import Layout
from sandbox.lifecycle import Steps
from sandbox.processes import ProcessError, running
from sandbox.tools.build import ToolchainError, toolchain
from tests.end_to_end.images import pull, push
from tests.end_to_end.registry_client import RegistryClient, Repeatedly
from tests.end_to_end.registry_stack import CHECKOUT, RegistryStack, Sandbox, running_sandbox
from tests.forms import POST
from tests.upgrade.former_checkout import FormerCommitError, former_checkout, known_settings, subject
from tests.upgrade.rules import lost, remark

LAYOUT = Layout("upgrade", 92)
FORMS: dict[str, dict[str, Any]] = {
    "default-form": {"users": ["registry", "ci"], "rotation": {"accessKey": 2, "password": {"ci": 2}}},
    "post-form": POST | {"controller": "ReplicationController"},
}
"""The stacks, and the settings of each; the former program gets those that it has."""

IMAGES = 3
"""Pushed before the upgrade, each of two layers."""
INTERVAL_SECONDS = 0.2
"""Between the begins of two pulls, and of two pushes, as far as the machine allows."""
FAILURES_SHOWN = 5


def main() -> None:
    """Upgrade a stack of each form; errors that have a remedy end with a message, not with a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("--from", dest="commit", default="", help="the commit or tag that the stacks are of")
    commit = parser.parse_args().commit
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that the sandbox is removed then, too
    started = time.monotonic()
    try:
        with former_checkout(commit) as former:
            print(f"from {subject(former)}\nto   {subject(CHECKOUT)}, as it is in this checkout\n")
            broken = upgrade_all(former)
    except (FormerCommitError, ToolchainError, ProcessError, DemonstrationError, automation.CommandError) as error:
        sys.exit(f"error: {error}")
    print(f"\nin all {time.monotonic() - started:.0f} s")
    if broken:
        sys.exit("error: the upgrade does not hold:\n" + "\n".join(f"  * {one}" for one in broken))
    print("the stacks came along")


def upgrade_all(former: Path) -> list[str]:
    """Upgrade a stack of each form on one sandbox; return what does not hold."""
    if running(LAYOUT):
        raise ProcessError(
            "another upgrade runs, or was killed. "
            f"Stop it: python -m sandbox --name {LAYOUT.name} --network {LAYOUT.network} down"
        )
    with running_sandbox(LAYOUT, toolchain()) as sandbox, tempfile.TemporaryDirectory() as directory:
        return [
            f"{name}: {one}"
            for name, settings in FORMS.items()
            for one in upgrade(sandbox, name, settings, former, Path(directory) / name)
        ]


def upgrade(sandbox: Sandbox, name: str, settings: dict[str, Any], former: Path, directory: Path) -> list[str]:
    """Upgrade a stack `name`, print what happened, and return what does not hold.

    Raises automation.CommandError if Pulumi fails, and DemonstrationError if crane does.
    """
    print(f"\n{name}: {settings}")
    steps = Steps()
    stack = RegistryStack(sandbox, name, directory, checkout=former)
    with steps.step("up by the former program"):
        before = stack.up(**known_settings(former, settings))
    passwords = before["passwords"]
    crane = stack.crane()  # it stays logged in with the former password, and so does the other client
    client = RegistryClient(stack, before.get("username"), before.get("password"))
    access = answers(stack, passwords)
    with steps.step(f"push {IMAGES} images"):
        images = [f"{stack.hostname}/before:{number}" for number in range(IMAGES)]
        digests = {image: push(crane, image, directory, count=2) for image in images}
    meanwhile: dict[str, str] = {}

    def push_another() -> None:
        tag = str(len(meanwhile))
        meanwhile[tag] = client.push("meanwhile", tag, os.urandom(10_000))

    stack.take_program(CHECKOUT)
    with (
        steps.step("up by this program, pulls and pushes meanwhile"),
        Repeatedly(lambda: client.pull("before", "0"), INTERVAL_SECONDS) as pulls,
        Repeatedly(push_another, INTERVAL_SECONDS) as pushes,
    ):
        after = stack.up(**settings)
    operations = stack.operations.by_resource
    with steps.step("pull all that was pushed"):
        others = [image for image, digest in digests.items() if pull(crane, image, directory) != digest]
        others += [f"meanwhile:{tag}" for tag, digest in meanwhile.items() if client.pull("meanwhile", tag) != digest]
    with steps.step("preview of a second up"):
        changes = stack.preview(**settings)

    print()
    for resource, operation in sorted(operations.items(), key=lambda item: item[0].name):
        why = remark(resource, operation)
        print(f"  {operation:<8} {resource.name:<39} {resource.type}{why and f'  ({why})'}")
    print()
    changed = [output for output in before if after.get(output) != before[output]]
    access_now = answers(stack, passwords)
    failures = [*pulls.failures, *pushes.failures]
    counted = Counter(operations.values())
    facts = {
        "resources": ", ".join(f"{count} {operation}" for operation, count in counted.most_common()),
        "load balancer": after["loadBalancerHostname"],
        "bucket": after["bucketName"],
        "outputs": f"{len(before) - len(changed)} of {len(before)} as before",
        "answers": "with the former passwords: " + ", ".join(f"{who} {status}" for who, status in access_now.items()),
        "images": f"{len(digests)} pushed before, {len(meanwhile)} meanwhile, {len(others)} pulled with another digest",
        "meanwhile": f"{pulls.count} pulls, {pushes.count} pushes, {len(failures)} failures",
        "a second up": f"changes {changes or 'nothing'}",
    }
    for title, fact in facts.items():
        print(f"  {title:<18} {fact}")
    return [
        *lost(operations),
        *(f"the output {output} is another than before" for output in changed),
        *(
            f"{who} got {access[who]} before, and gets {status} now"
            for who, status in access_now.items()
            if status != access[who]
        ),
        *(f"{image} is pulled with another digest than it was pushed with" for image in others),
        *(f"failed meanwhile: {failure}" for failure in failures[:FAILURES_SHOWN]),
        *(f"a second up would {operation} {resource}" for resource, operation in changes.items()),
    ]


def answers(stack: RegistryStack, passwords: dict[str, str]) -> dict[str, int]:
    """The status that each user gets with a password, and everyone without."""
    clients = {user: RegistryClient(stack, user, password) for user, password in passwords.items()}
    clients["nobody"] = RegistryClient(stack)
    return {who: client.request("GET", "/v2/").status_code for who, client in clients.items()}


if __name__ == "__main__":
    main()
