"""The registry's stack on a sandbox of the tests' own, and what the tests see of it in AWS and Kubernetes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.aws import server
from sandbox.demonstration import Crane
from sandbox.layout import DOMAIN, Account, Layout
from sandbox.lifecycle import CHECKOUT, Steps, down, up
from sandbox.stack import open_stack, project_directory
from sandbox.tools.build import Toolchain
from tests.end_to_end.operations import Operations
from tests.forms import POST
from tests.waiting import PATIENCE_SECONDS, wait_for

SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The member that tells a secret from another object in an exported state: sdk/go/common/resource/sig in Pulumi."""


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, as its administrator sees it."""

    layout: Layout
    account: Account
    tools: Toolchain

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its clients."""
        return os.environ | self.layout.client_environment(self.account, self.tools.binaries)

    def aws(self, service: str, key_id: str | None = None, secret_key: str | None = None) -> Any:
        """A boto3 client, as the administrator or with the key given."""
        return server.client(
            service,
            self.layout.cloud_tls_url,
            key_id or self.account.access_key_id,
            secret_key or self.account.secret_access_key,
            self.layout.authority_certificate,
        )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = [str(self.tools.binaries / "kubectl"), *arguments]
        done = subprocess.run(
            command,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """The JSON that `kubectl get` prints."""
        return json.loads(self.kubectl("get", "--output=json", *arguments))


@contextlib.contextmanager
def running_sandbox(layout: Layout, tools: Toolchain, **options: Any) -> Iterator[Sandbox]:
    """Bring a sandbox up, with the options of `sandbox.lifecycle.up`, and down again whatever happens."""
    try:
        yield Sandbox(layout, up(layout, tools, Steps(), **options), tools)
    finally:
        down(layout)


@dataclass
class RegistryStack:
    """A stack `name` of the product, with a namespace and a hostname of its own; `up` deploys it."""

    sandbox: Sandbox
    name: str
    directory: Path
    checkout: Path = CHECKOUT
    """Whose program it is; another one can take over, see `take_program`."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """By name, the secret ones too."""
    secret_outputs: set[str] = field(default_factory=set)
    deployed: dict[str, Any] | None = None
    """The settings of the last `up` that succeeded."""
    output: str = ""
    """All that the engine has printed."""
    operations: Operations = field(default_factory=Operations)
    """What the last `up` did."""
    _is_destroyable: bool = True

    def __post_init__(self) -> None:
        self.project = project_directory(self.sandbox.layout, self.directory, self.checkout)
        self.settings = self._sandbox_settings()
        self.settings |= {"hostname": self.hostname, "namespace": self.name}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}}
        self.sandbox.kubectl("apply", "--filename=-", stdin=json.dumps(namespace))
        self._stack = open_stack(
            self.sandbox.layout, self.sandbox.account, self.sandbox.tools, project=self.project, name=self.name
        )

    @property
    def hostname(self) -> str:
        return f"{self.name}.{DOMAIN}"

    @property
    def bucket(self) -> str:
        return self.outputs["bucketName"]

    def take_program(self, checkout: Path) -> None:
        """From now on run the program of another checkout on this stack, with what that says of providers.

        The other settings stay.
        """
        self.project = project_directory(self.sandbox.layout, self.directory, checkout)
        self.settings |= {key: value for key, value in self._sandbox_settings().items() if ":" in key}

    def act_as(self, **environment: str) -> None:
        """From now on run `up`, `preview` and `destroy` with these variables in place of the administrator's."""
        sandbox = self.sandbox
        administrators = sandbox.layout.client_environment(sandbox.account, sandbox.tools.binaries)
        self._stack.workspace.env_vars = administrators | environment

    def up(self, **settings: Any) -> dict[str, Any]:
        """Run `pulumi up` with these settings and no others, and return the outputs.

        `bucket` is added to the sandbox's settings of the bucket, of which None takes one away. `refresh=True` is no
        setting: Pulumi looks first at what is there. Raises automation.CommandError.
        """
        refresh = settings.pop("refresh", False)
        self.deployed = None
        self._configure(settings)
        bucket = settings.get("bucket", {})
        is_destroyable = not bucket.get("protect") and bucket.get("forceDestroy", True)
        self._is_destroyable &= is_destroyable
        # Not by Stack.up, which runs three commands more: half as much again as an update that changes nothing takes.
        events = self.directory / "events.log"
        events.unlink(missing_ok=True)
        self._run(
            "up",
            "--yes",
            "--skip-preview",
            "--color=never",
            f"--event-log={events}",
            *(["--refresh"] if refresh else []),
        )
        self.operations = Operations.read(events)
        self._is_destroyable = is_destroyable
        outputs = next(one for one in self.state() if one["type"] == "pulumi:pulumi:Stack")
        found = outputs["outputs"]
        self.secret_outputs = {name for name, value in found.items() if is_secret(value)}
        self.outputs = {
            name: json.loads(value["plaintext"]) if is_secret(value) else value for name, value in found.items()
        }
        self.deployed = settings
        return self.outputs

    def state(self) -> list[dict[str, Any]]:
        """The resources that the stack's state has, with their secrets."""
        exported = json.loads(self._run("stack", "export", "--show-secrets", printed=False))
        return exported["deployment"]["resources"]

    def preview(self, **settings: Any) -> dict[str, str]:
        """Run `pulumi preview` with these settings; return each operation that changes something, by resource.

        Steps of a replacement are one `replace`.
        """
        self._configure(settings)
        operations = Operations()
        self._stack.preview(on_output=self._print, on_error=self._print, on_event=operations.note, color="never")
        return operations.changes()

    def destroy(self) -> None:
        """Run `pulumi destroy`. Raises automation.CommandError."""
        self._stack.destroy(on_output=self._print, on_error=self._print, color="never")

    def remove(self) -> None:
        """Leave nothing of the stack, whatever it was set to."""
        if "resources" in (self._stack.export_stack().deployment or {}):
            if not self._is_destroyable:
                self.up(**POST)
            self.destroy()
        self.sandbox.kubectl("delete", "namespace", self.name, "--wait=false")

    def pulumi(self, *arguments: str, **environment: str) -> str:
        """What the command on this stack prints. (The Automation API asks for secrets in plain text, always.)

        `environment` is added to that of the sandbox's clients.
        """
        command = ["pulumi", *arguments, "--stack", self.name]
        environment = self.sandbox.environment | environment
        done = subprocess.run(command, cwd=self.project, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def crane(self) -> Crane:
        """A registry client that verifies certificates, if there are any; logged in, if there are users."""
        insecure = self.outputs["url"].startswith("http://")
        crane = Crane(self.sandbox.layout, self.sandbox.account, self.sandbox.tools.binaries, insecure=insecure)
        if self.outputs.get("username"):
            crane.log_in(self.outputs["hostname"], self.outputs["username"], self.outputs["password"])
        return crane

    def pods(self) -> list[dict[str, Any]]:
        """The pods that are not ending."""
        pods = self.sandbox.get("pods", "--namespace", self.name)["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def settled_pods(self) -> list[dict[str, Any]]:
        """The pods that are not ending, once they are the Service's only endpoints: no request reaches a former one."""

        def settled() -> list[dict[str, Any]]:
            pods = self.pods()
            selector = "--selector=kubernetes.io/service-name=kube-registry"
            slices = self.sandbox.get("endpointslices", "--namespace", self.name, selector)["items"]
            ready = [one for each in slices for one in each["endpoints"] or [] if one["conditions"]["ready"]]
            addresses = {address for one in ready for address in one["addresses"]}
            return pods if {pod["status"].get("podIP") for pod in pods} == addresses else []

        return wait_for(settled, "endpoints that are the pods")

    def access_key(self) -> tuple[str, str]:
        """The registry's key, as its pods have it: id and secret key."""
        environment = self.container_environment()
        return environment["REGISTRY_STORAGE_S3_ACCESSKEY"], environment["REGISTRY_STORAGE_S3_SECRETKEY"]

    def container_environment(self) -> dict[str, str]:
        """The environment that the pods give their containers, secrets too."""
        (container,) = self.settled_pods()[0]["spec"]["containers"]
        found = {}
        for variable in container["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            found[variable["name"]] = (
                self.secret(reference["name"])[reference["key"]] if reference else variable["value"]
            )
        return found

    def secret(self, name: str) -> dict[str, str]:
        """The content of a Kubernetes Secret."""
        data = self.sandbox.get("secret", name, "--namespace", self.name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def balancer(self) -> dict[str, Any]:
        """The classic load balancer, as AWS describes it."""
        described = self.sandbox.aws("elb").describe_load_balancers()["LoadBalancerDescriptions"]
        (found,) = [one for one in described if one["DNSName"] == self.outputs["loadBalancerHostname"]]
        return found

    def await_balancer(self, ports: set[int]) -> None:
        """Wait until the load balancer listens on these ports only: the cloud controller follows a Service later."""
        wait_for(
            lambda: {one["Listener"]["LoadBalancerPort"] for one in self.balancer()["ListenerDescriptions"]} == ports,
            f"listeners on {ports}",
        )

    def objects(self) -> list[str]:
        """The keys of all objects in the bucket."""
        pages = self.sandbox.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def guards(self) -> dict[str, Any]:
        """What S3 has of each kind of configuration that guards the bucket."""
        s3 = self.sandbox.aws("s3")
        kinds = {
            "encryption": s3.get_bucket_encryption,
            "public access block": s3.get_public_access_block,
            "ownership controls": s3.get_bucket_ownership_controls,
            "lifecycle": s3.get_bucket_lifecycle_configuration,
            "versioning": s3.get_bucket_versioning,
            "policy": s3.get_bucket_policy,
        }
        answers = {kind: ask(Bucket=self.bucket) for kind, ask in kinds.items()}
        return {
            kind: {key: answer[key] for key in answer if key != "ResponseMetadata"} for kind, answer in answers.items()
        }

    def encryptions(self) -> set[tuple[str, str | None]]:
        """How the objects in the bucket are encrypted: algorithm, and the KMS key's ARN."""
        s3 = self.sandbox.aws("s3")
        heads = [s3.head_object(Bucket=self.bucket, Key=key) for key in self.objects()]
        return {(head["ServerSideEncryption"], head.get("SSEKMSKeyId")) for head in heads}

    def _sandbox_settings(self) -> dict[str, Any]:
        """What the checkout sets for the sandbox. Former commits named the project in the keys."""
        sandbox = yaml.safe_load((self.project / "Pulumi.sandbox.yaml").read_text())["config"]
        return {key.removeprefix("registry:"): value for key, value in sandbox.items()}

    def _configure(self, settings: dict[str, Any]) -> None:
        config = self.settings | settings
        bucket = self.settings["bucket"] | settings.get("bucket", {})
        config["bucket"] = {key: value for key, value in bucket.items() if value is not None}
        file = self.project / f"Pulumi.{self.name}.yaml"
        written = yaml.safe_load(file.read_text()) if file.exists() else {}  # the engine's salt, for one
        file.write_text(yaml.safe_dump(written | {"config": config}))

    def _run(self, *arguments: str, printed: bool = True) -> str:
        """What the command on this stack writes to its standard output. Raises automation.CommandError."""
        noted = self._print if printed else None
        workspace = self._stack.workspace
        command = [*arguments, "--stack", self.name]
        # --event-log is an option for those who debug, as the Automation API does.
        environment = {**workspace.env_vars, "PULUMI_DEBUG_COMMANDS": "true"}
        return workspace.pulumi_command.run(command, str(self.project), environment, noted, noted).stdout

    def _print(self, text: str) -> None:
        self.output += text + "\n"


def is_secret(value: Any) -> bool:
    """Whether a value of an exported state is a secret one."""
    return isinstance(value, dict) and SECRET_SIGNATURE in value
