"""A mock engine that runs the whole program and records what it would create; tests look at the record afterwards."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import runpy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from google.protobuf import json_format

from registry import stack_state
from registry.cluster import Cluster

PROGRAM = Path(__file__).parent.parent / "__main__.py"
PLAIN = {"hostname": "registry.example.com"}
"""The least that a stack has to set."""

EVENT_LOOP = asyncio.new_event_loop()
"""Pulumi takes the thread's own, which another test's `asyncio.run` takes away."""

LIVE_OBJECTS: dict[str, Any] = {}
"""What the cluster has of the names that the stack's objects have."""

EVENTS: list[Any] = []
"""Of the stack's Service."""

GIVEN_CLASS: Any = None
"""What class the cluster gives a new Service by itself, or a `Refused`."""

CLUSTER: dict[str, Any] = {}
"""What else is told of the cluster, as fields of `Cluster`."""
CLUSTER_AS_IT_IS: dict[str, Any] = {"context": "test", "uid": "uid of kube-system", "namespace_labels": {}}

PROVIDERS = {"aws:allowedAccountIds": '["111122223333"]', "kubernetes:context": "test"}
"""What the stack's configuration says of account and cluster."""

FIRST_TEMPLATE: str | None = None
"""What the engine's Stash keeps from an earlier update; None: this is the first."""

REQUIRED_VERSIONS: list[str] = []
"""What programs have required of the engine so far."""

LAST_OUTPUTS: dict[str, Any] = {}
"""The stack's outputs after its last update; none: this is the first."""

STATE: list[dict[str, Any]] = []
"""What the state has after an earlier update: `type` and `outputs` of each resource, and its `name` where it counts."""

LOAD_BALANCER_HOSTNAME = "a1b2.us-east-1.elb.amazonaws.com"
"""The name that the Service's load balancer gets."""

CLUSTER_ARN = "arn:aws:eks:eu-central-1:111122223333:cluster/production"
ISSUER = "oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF"
OIDC_PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"
AWS: dict[str, Any] = {}
"""What AWS answers to a function of the provider, by its name; a text is an error of the provider."""
AWS_AS_IT_IS: dict[str, Any] = {
    "getCallerIdentity": {"accountId": "111122223333"},
    "getCertificate": {"status": "ISSUED"},
    "getCluster": {
        "arn": CLUSTER_ARN,
        "identities": [{"oidcs": [{"issuer": f"https://{ISSUER}"}]}],
        "kubernetesNetworkConfigs": [{"ipFamily": "ipv4"}],
    },
    "getOpenIdConnectProvider": {"arn": OIDC_PROVIDER, "clientIdLists": ["sts.amazonaws.com"]},
    "getHostedZoneId": {"id": "zone of classic load balancers"},
    "getKey": {"keyState": "Enabled", "keySpec": "SYMMETRIC_DEFAULT", "keyUsage": "ENCRYPT_DECRYPT"},
    "getRecords": {"resourceRecordSets": []},
    "getRegion": {"region": "us-east-1"},
    "getBucket": "reading S3 Bucket (images): couldn't find resource",
}


def salt_of(name: str) -> str:
    """What a RandomBytes of the name makes: 16 bytes, in base64."""
    return base64.b64encode(hashlib.md5(name.encode(), usedforsecurity=False).digest()).decode()


@dataclass(frozen=True)
class Resource:
    """A resource as the program declared it: Pulumi's type and name, and its inputs by their names in the engine."""

    type: str
    name: str
    inputs: dict[str, Any]


@dataclass
class Engine(pulumi.runtime.Mocks):
    """Answers as AWS and Kubernetes would, with values that say where they come from."""

    resources: list[Resource] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    calls_by_provider: dict[str, set[str]] = field(default_factory=dict)
    """The functions that were asked, by the name of the provider that the program made; empty: the engine's own."""
    preview: bool = False
    """As in a preview of a new stack, what a resource gets at its creation is not known."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.resource_id:  # it is read, not made
            return args.resource_id, (AWS_AS_IT_IS | AWS)["getCertificate"]
        self.resources.append(Resource(args.typ, args.name, args.inputs))
        if self.preview:
            return None, args.inputs
        return f"{args.name}-id", {**args.inputs, **self._outputs(args)}

    def _outputs(self, args: pulumi.runtime.MockResourceArgs) -> dict[str, Any]:
        bucket = args.inputs.get("bucket", f"{args.name}-1a2b3c4")
        answers = {
            "aws:s3/bucket:Bucket": {"bucket": bucket, "arn": f"arn:aws:s3:::{bucket}", "region": "eu-central-1"},
            "aws:iam/user:User": {"name": f"{args.name}-1a2b3c4"},
            "aws:iam/role:Role": {"name": f"{args.name}-1a2b3c4", "arn": f"arn of {args.name}"},
            "aws:iam/accessKey:AccessKey": {"secret": pulumi.Output.secret(f"secret of {args.name}")},
            "random:index/randomPassword:RandomPassword": {"result": pulumi.Output.secret(f"result of {args.name}")},
            "random:index/randomBytes:RandomBytes": {"base64": salt_of(args.name)},
            "random:index/randomId:RandomId": {
                "hex": hashlib.sha256(json.dumps(args.inputs.get("keepers")).encode()).hexdigest()[:8]
            },
            "random:index/randomUuid:RandomUuid": {"result": f"id of {args.name}"},
            "aws:acm/certificate:Certificate": {
                "arn": f"arn of {args.name}",
                "domainValidationOptions": [
                    {
                        "domainName": name,
                        "resourceRecordName": f"_proof.{name}.",
                        "resourceRecordType": "CNAME",
                        "resourceRecordValue": "_value.acm-validations.aws.",
                    }
                    for name in reversed(args.inputs.get("subjectAlternativeNames", []))
                ],
            },
            "aws:route53/record:Record": {"fqdn": args.inputs.get("name")},
            "pulumi:index:Stash": {
                "output": ("first-template" in args.name and FIRST_TEMPLATE) or args.inputs.get("input")
            },
            "kubernetes:core/v1:Secret": {"metadata": {"name": f"{args.name}-5e6f7a8b"}},
            "kubernetes:core/v1:ConfigMap": {"metadata": {"name": f"{args.name}-5e6f7a8b"}},
            "kubernetes:core/v1:Service": {
                "status": {"loadBalancer": {"ingress": [{"hostname": LOAD_BALANCER_HOSTNAME}]}}
            },
        }
        return answers.get(args.typ, {})

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        self.calls.append((args.token, args.args))
        provider = args.provider.split("::")[3] if args.provider else ""
        self.calls_by_provider.setdefault(provider, set()).add(args.token.rpartition(":")[2])
        name = args.token.rpartition(":")[2]
        match name:
            case "getZone" if name not in AWS:
                return {"zoneId": f"zone of {args.args['name']}"}, []
            case "getHostedZoneId" if name not in AWS and args.token.startswith("aws:lb/"):
                return {"id": f"zone of network load balancers in {args.args['region']}"}, []
            case "getBucket" if name not in AWS and args.args["bucket"] == "logs":
                return {"bucketRegion": "us-east-1"}, []
            case "readStackOutputs":
                return {"outputs": LAST_OUTPUTS}, []
            case "readStackResourceOutputs":
                return {
                    "outputs": {
                        f"urn::{resource.get('name', number)}": resource for number, resource in enumerate(STATE)
                    }
                }, []
            case _ if name in (answers := AWS_AS_IT_IS | AWS):
                answer = answers[name]
                return ({}, [(answer, name)]) if isinstance(answer, str) else (answer, [])
            case _:
                raise AssertionError(f"the program calls {args.token}, which this engine does not know")


@dataclass(frozen=True)
class Options:
    """What the program told the engine of a resource beside its inputs; other resources by their names.

    `parent` is the type of the component, such as `Storage`, as all of them have one name.
    `depends_on` has those whose outputs are inputs, too. `aliases` are former names, or types where they differ.
    `hooks` tells of each when it runs, such as `before_update`.
    """

    parent: str
    depends_on: set[str]
    protect: bool
    deleted_with: str
    delete_before_replace: bool
    replace_on_changes: list[str]
    ignore_changes: list[str]
    hooks: dict[str, str]
    create_timeout: str
    update_timeout: str
    replacement_trigger: Any
    aliases: set[str]
    provider: str
    """The name of the provider that the program made for it, if it did."""
    unknown_in_spec: set[str]
    """The fields of `spec` that are not known, which are left out of the inputs."""


HOOKS = ("before_create", "after_create", "before_update", "after_update", "before_delete", "after_delete", "on_error")


class Monitor(pulumi.runtime.mocks.MockMonitor):
    """Keeps the options of each resource that the program registers."""

    def __init__(self, mocks: pulumi.runtime.Mocks) -> None:
        super().__init__(mocks)
        self.options: dict[str, Options] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (gRPC's name)
        type_ = request.type.removeprefix("registry:index:")
        key = request.name if type_ == request.type else type_
        assert key not in self.options, f"{key} is the name of two resources"
        self.options[key] = Options(
            parent=request.parent.split("::")[-2].rpartition(":")[2] if request.parent else "",
            depends_on={_name(urn) for urn in request.dependencies},
            protect=request.protect,
            deleted_with=_name(request.deletedWith),
            delete_before_replace=request.deleteBeforeReplace,
            replace_on_changes=[*request.replaceOnChanges],
            ignore_changes=[*request.ignoreChanges],
            create_timeout=request.customTimeouts.create,
            update_timeout=request.customTimeouts.update,
            replacement_trigger=json_format.MessageToDict(request.replacement_trigger)
            if request.HasField("replacement_trigger")
            else None,
            aliases={alias.spec.name or alias.spec.type for alias in request.aliases},
            provider=request.provider.split("::")[3] if request.provider else "",
            unknown_in_spec={
                name
                for name, value in json_format.MessageToDict(request.object).get("spec", {}).items()
                if value == pulumi.runtime.rpc.UNKNOWN
            },
            hooks={name: when for when in HOOKS for name in getattr(request.hooks, when)},
        )
        return super().RegisterResource(request)


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


@dataclass(frozen=True)
class Deployed:
    """What a run of the program left: the engine's record, the outputs, which of those are secret, and options.

    An output that is not known at preview is None.
    """

    engine: Engine
    outputs: dict[str, Any]
    secret_outputs: set[str]
    options: dict[str, Options]
    """By the resource's name; a component's by its type, such as `Workload`, as all of them have one name."""

    def all(self, type_: str) -> list[Resource]:
        """The resources whose type ends with `type_`, such as `Bucket`."""
        return [resource for resource in self.engine.resources if resource.type.rpartition(":")[2] == type_]

    def one(self, type_: str) -> dict[str, Any]:
        """The inputs of the only resource of the type."""
        (found,) = self.all(type_)
        return found.inputs

    def named(self, name: str) -> dict[str, Any]:
        """The inputs of the only resource with the name."""
        (found,) = [resource for resource in self.engine.resources if resource.name == name]
        return found.inputs

    def pod(self) -> dict[str, Any]:
        """The pod's spec, of whichever controller there is."""
        (controller,) = [*self.all("Deployment"), *self.all("ReplicationController")]
        return controller.inputs["spec"]["template"]["spec"]

    def environment(self) -> dict[str, Any]:
        """The container's variables: the value, or the reference in its place."""
        (container,) = self.pod()["containers"]
        return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


Deploy = Callable[..., Deployed]
"""Runs the program with the settings that are given by keyword."""


def configure(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], project: str = "registry") -> None:
    """Give a program the settings as the engine does: every value as text, objects and lists as JSON."""
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    configured = PROVIDERS | {f"{project}:{key}": value for key, value in values.items()}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(configured))


def require_version(_: Any, request: Any) -> None:
    """What an engine says of the versions that a program requires: one that is new enough says nothing."""
    REQUIRED_VERSIONS.append(request.pulumi_version_range)


def run_program(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], *, preview: bool = False) -> Deployed:
    """Run the program as the engine does, with the given settings, for an update or a preview."""
    configure(monkeypatch, settings)
    engine = Engine(preview=preview)
    stack_state._resource_outputs.cache_clear()
    asyncio.set_event_loop(EVENT_LOOP)
    name = "the cluster of context test (https://kubernetes.example.com)"
    found = Cluster(name, LIVE_OBJECTS, **CLUSTER_AS_IT_IS | CLUSTER)
    monkeypatch.setattr("registry.cluster.existing_objects", lambda namespace, names: found)
    monkeypatch.setattr("registry.cluster.given_class", lambda namespace, labels, annotations: GIVEN_CLASS)
    monkeypatch.setattr("registry.cluster.pods", lambda namespace, labels: [])
    monkeypatch.setattr("registry.cluster.events", lambda namespace, kind, name: EVENTS)
    monkeypatch.setattr(pulumi.runtime.mocks.MockEngine, "RequirePulumiVersion", require_version, raising=False)
    monitor = Monitor(engine)
    pulumi.runtime.set_mocks(
        engine, project="registry", stack="test", organization="acme", preview=preview, monitor=monitor
    )
    exported: dict[str, pulumi.Output[Any]] = {}
    monkeypatch.setattr(pulumi, "export", lambda name, value: exported.update({name: pulumi.Output.from_input(value)}))
    outputs: dict[str, Any] = {}
    secrets: set[str] = set()

    async def collect() -> None:
        for name, output in exported.items():
            outputs[name] = await output.future()
            if await output.is_secret():
                secrets.add(name)

    @pulumi.runtime.test
    def program() -> Awaitable[None]:
        runpy.run_path(str(PROGRAM))
        return collect()

    program()
    return Deployed(engine, outputs, secrets, monitor.options)
