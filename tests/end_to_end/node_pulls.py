"""A pod of an image that its node has to pull from the registry of a stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.end_to_end.images import push_program
from tests.end_to_end.registry_stack import RegistryStack
from tests.waiting import wait_for


def the_node_pulls_an_image_and_runs_it(stack: RegistryStack, directory: Path) -> None:
    """The node's runtime asks for the registry's name, as everyone does, and so comes by the load balancer."""
    sandbox, hostname = stack.sandbox, stack.outputs["hostname"]
    image, scope = f"{hostname}/program:1", ("--namespace", stack.name)
    program = sandbox.tools.binaries / "crane"
    # One that the node has not, of another stack.
    options = ("--cmd", "version", "--env", f"REGISTRY={hostname}")
    digest = push_program(stack.crane(), image, directory, program, *options)
    if stack.outputs["url"].startswith("http://"):
        hosts = sandbox.layout.registry_hosts / hostname / "hosts.toml"
        hosts.parent.mkdir(parents=True)
        hosts.write_text(f'server = "http://{hostname}"\n')
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": stack.outputs["dockerConfigJson"]},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "program"},
        "spec": {
            "restartPolicy": "Never",
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"name": "program", "image": image}],
        },
    }
    for one in (secret, pod):
        sandbox.kubectl("apply", "--filename=-", *scope, stdin=json.dumps(one))

    def ended() -> dict[str, Any] | None:
        status = sandbox.get("pod", "program", *scope)["status"]
        return status if status["phase"] in ("Succeeded", "Failed") else None

    status = wait_for(ended, "end of the program in the image that the node pulled")
    assert status and status["phase"] == "Succeeded"
    assert status["containerStatuses"][0]["imageID"] == f"{hostname}/program@{digest}"
    sandbox.kubectl("delete", "pod/program", "secret/pull", *scope)
