"""Installs the controller in a sandbox's cluster, as its Helm chart does elsewhere."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.layout import Layout
from sandbox.load_balancer_controller.admission import policies, webhooks
from sandbox.load_balancer_controller.files import HEALTH_PORT, WEBHOOK_PORT
from sandbox.processes import ProcessError, wait_until

PART = "load-balancer-controller"
"""The tools' part that has it; built when it is asked for."""
CUSTOM_RESOURCES = "crds.yaml"
APPLY_SECONDS = 180.0


class Installation:
    """The controller's objects in the cluster of one sandbox."""

    def __init__(self, layout: Layout, kubectl: Path, environment: Mapping[str, str]) -> None:
        """`environment` is that of the sandbox's clients, in which `kubectl` runs."""
        self._layout = layout
        self._kubectl = kubectl
        self._environment = dict(environment)

    def define_resources(self, manifest: Path) -> None:
        """Define the controller's own kinds of objects, which it looks for as it starts. Raises ProcessError."""
        self._run("apply", "--server-side", "--filename", str(manifest))
        self._run("wait", "--for=condition=Established", "--timeout=120s", "--filename", str(manifest))

    def register_admission(self) -> None:
        """Have the API server ask the webhooks, and keep to the policies. Raises ProcessError.

        The webhooks must answer: from now on objects are refused where they do not.
        """
        objects = {"apiVersion": "v1", "kind": "List", "items": [*webhooks(self._layout), *policies()]}
        self._run("apply", "--server-side", "--filename=-", objects=objects)
        wait_until(self._keeps_to_policies, APPLY_SECONDS, "the policies of the load balancer controller in force")

    def answers(self) -> bool:
        """Whether the controller calls itself healthy, and its webhook for TargetGroupBindings answers a review."""
        address = self._layout.address
        webhook = f"https://{address}:{WEBHOOK_PORT}/validate-elbv2-k8s-aws-v1beta1-targetgroupbinding"
        request = {"uid": "1", "operation": "CONNECT"}  # which it has nothing against, whatever the object
        review = {"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": request}
        try:
            self._open(f"http://{address}:{HEALTH_PORT}/healthz")
            return json.loads(self._open(webhook, json.dumps(review).encode()))["response"]["allowed"]
        except OSError:
            return False

    def _open(self, url: str, body: bytes | None = None) -> bytes:
        """Raises OSError, also for an answer that is no success."""
        context = ssl.create_default_context(cafile=self._layout.authority_certificate)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 (its own address)
        with opener.open(request, timeout=5) as response:
            return response.read()

    def _keeps_to_policies(self) -> bool:
        """The API server notices a new policy after a moment: look what becomes of a Service that is never made."""
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "is-the-policy-in-force", "namespace": "default"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 443}]},
        }
        made = self._run("create", "--dry-run=server", "--output=json", "--filename=-", objects=service)
        return bool(json.loads(made)["spec"].get("loadBalancerClass"))

    def _run(self, *arguments: str, objects: dict[str, Any] | None = None) -> str:
        done = subprocess.run(
            [str(self._kubectl), *arguments], env=self._environment, input=json.dumps(objects) if objects else None,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ProcessError(
                f"installing the load balancer controller: kubectl {arguments[0]}: {done.stderr.strip()}"
            )
        return done.stdout
