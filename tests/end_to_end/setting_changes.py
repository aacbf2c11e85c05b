"""What an update does that changes a setting of a living stack: a case for each row of docs/changes.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.layout import DOMAIN
from tests.end_to_end.identities import AS_ON_AWS, IDENTITIES
from tests.end_to_end.load_balancers import CONTROLLER_CLASS

NAME = "changed-settings"
"""The stack's, and so its namespace's."""
HOSTNAME, OTHER_HOSTNAME = f"{NAME}.{DOMAIN}", f"{NAME}-too.{DOMAIN}"
OTHER_NAMESPACE = f"{NAME}-too"
PREFIX = "service.beta.kubernetes.io/aws-load-balancer-"
BASE: dict[str, Any] = {"users": ["registry"]}

DEPLOYMENT, CONTROLLER = f"registry-deployment-{NAME}", f"registry-replication-controller-{NAME}"
GENERATION, TEMPLATE = f"registry-generation-{NAME}", f"registry-first-template-{NAME}"
SERVICE = f"registry-service-{NAME}"
POLICY, S3_POLICY, PLAIN_S3_POLICY = (f"registry-network-policy{port}-{NAME}" for port in ("", "-s3-4567", "-s3-4566"))
NAMESPACED = ("deployment", "service", "service-account", "network-policy", "network-policy-s3-4567")
RECORD, OTHER_RECORD = f"registry-record-{HOSTNAME}", f"registry-record-{OTHER_HOSTNAME}"
PROOF, OTHER_PROOF = (f"registry-certificate-validation-record-{name}" for name in (HOSTNAME, OTHER_HOSTNAME))
AGENT_POLICY = f"registry-network-policy-pod-identity-agent-{NAME}"
WEB_ROLE, POD_ROLE = (f"registry-role-{kind}" for kind in ("web-identity", "pod-identity"))
WEB_POLICY, POD_POLICY = (f"registry-policy-{kind}" for kind in ("web-identity", "pod-identity"))
ASSOCIATION = "registry-association-pod-identity"
NO_USER = dict.fromkeys(
    ("registry-user", "registry-policy", "registry-access-key", "registry-access-key-secret"), "delete"
)
ROLL = {DEPLOYMENT: "update"}
SUCCESSOR = {GENERATION: "replace", CONTROLLER: "replace"}
CERTIFICATE = {
    "registry-certificate": "replace",
    "registry-certificate-validation": "replace",
    SERVICE: "update",
}
OPPOSITE = {"create": "delete", "delete": "create"}


@dataclass(frozen=True)
class Surroundings:
    """What the settings of some cases name: made before, by somebody else."""

    kms_key: str
    logs: str
    endpoint: str
    """Another URL of the same S3, without TLS."""
    subnet: str
    """The cluster's, in which the load balancer is anyway."""
    zone_role: str
    """A role of the account that has the zone, as any account's would be."""
    boundary: str
    """A policy that allows what the registry needs."""
    oidc_provider: str
    """The cluster's, in IAM."""


@dataclass(frozen=True)
class Change:
    """A change of `settings`, paths as in docs/settings.md, there and back.

    `there`: what is set, by what there is. `operations`: what the way there does to each resource that it changes;
    `back`: the way back, if it is not the same with creations and deletions the other way round. `outage`: pulls or
    pushes may fail on the way.
    """

    settings: tuple[str, ...]
    there: Callable[[Surroundings], dict[str, Any]]
    operations: Mapping[str, str]
    back: Mapping[str, str] | None = None
    base: Mapping[str, Any] = field(default_factory=dict)
    outage: bool = False
    is_short: bool = False
    """It is in `make test` as well."""

    @property
    def on_the_way_back(self) -> dict[str, str]:
        return dict(
            self.back
            if self.back is not None
            else {name: OPPOSITE.get(one, one) for name, one in self.operations.items()}
        )


def _is(**settings: Any) -> Callable[[Surroundings], dict[str, Any]]:
    return lambda _: settings


CHANGES = [
    Change(
        ("hostnames",),
        _is(hostnames=[OTHER_HOSTNAME]),
        {OTHER_RECORD: "create", OTHER_PROOF: "create", **CERTIFICATE},
        outage=True,
    ),
    Change(
        ("users",),
        _is(users=["ci", "registry"]),
        {
            "registry-password-ci": "create",
            "registry-password-salt-ci": "create",
            "registry-secret": "replace",
            **ROLL,
        },
    ),
    Change(
        ("users", "primaryUser"),
        _is(users=["ci", "registry"], primaryUser="ci"),
        {},
        base={"users": ["registry", "ci"], "primaryUser": "registry"},
    ),
    Change(
        ("rotation.accessKey",),
        _is(rotation={"accessKey": "2026-11-25"}),
        {"registry-access-key": "replace", "registry-access-key-secret": "replace", **ROLL},
    ),
    Change(
        ("rotation.accessKey", "controller"),
        _is(controller="ReplicationController", rotation={"accessKey": "2026-11-25"}),
        {"registry-access-key": "replace", "registry-access-key-secret": "replace", **SUCCESSOR},
        base={"controller": "ReplicationController"},
    ),
    Change(
        ("image", "controller"),
        _is(controller="ReplicationController", image="registry:3.1.1"),
        SUCCESSOR,
        base={"controller": "ReplicationController"},
    ),
    Change(
        ("rotation.httpSecret",),
        _is(rotation={"httpSecret": "2026-11-25"}),
        {"registry-http-secret": "replace", "registry-secret": "replace", **ROLL},
        outage=True,
    ),
    Change(
        ("rotation.password.<name>",),
        _is(users=["registry", "ci"], rotation={"password": {"ci": "2026-11-25"}}),
        {
            "registry-password-ci": "replace",
            "registry-password-salt-ci": "replace",
            "registry-secret": "replace",
            **ROLL,
        },
        base={"users": ["registry", "ci"]},
    ),
    Change(("image",), _is(image="registry:3.1.1"), ROLL),
    Change(
        ("controller",),
        _is(controller="ReplicationController"),
        {DEPLOYMENT: "delete", GENERATION: "create", TEMPLATE: "create", CONTROLLER: "create"},
    ),
    Change(("imagePullSecrets",), _is(imagePullSecrets=["mirror"]), ROLL),
    Change(("podAnnotations.<name>",), _is(podAnnotations={"example.com/scan": "enabled"}), ROLL),
    Change(("environment.<name>",), _is(environment={"REGISTRY_LOG_FIELDS_SERVICE": "images"}), ROLL),
    Change(
        ("identity", "cluster"),
        _is(**IDENTITIES["irsa"]),
        {WEB_ROLE: "create", WEB_POLICY: "create", **NO_USER, **ROLL},
        base=AS_ON_AWS,
    ),
    Change(
        ("identity", "cluster"),
        _is(**IDENTITIES["pod-identity"]),
        {
            **dict.fromkeys((POD_ROLE, POD_POLICY, ASSOCIATION, AGENT_POLICY), "create"),
            **NO_USER,
            **ROLL,
        },
        base=AS_ON_AWS,
    ),
    Change(
        ("oidcProviderArn",),
        lambda there: {"oidcProviderArn": there.oidc_provider},
        {},
        base=AS_ON_AWS | IDENTITIES["irsa"],
    ),
    Change(
        ("path",),
        _is(path="/platform/"),
        {WEB_ROLE: "replace", WEB_POLICY: "replace", **ROLL},
        base=AS_ON_AWS | IDENTITIES["irsa"],
    ),
    Change(
        ("path",),
        _is(path="/platform/"),
        {POD_ROLE: "replace", POD_POLICY: "replace", ASSOCIATION: "update", **ROLL},
        base=AS_ON_AWS | IDENTITIES["pod-identity"],
    ),
    Change(("path",), _is(path="/platform/"), {"registry-user": "update"}),
    Change(
        ("permissionsBoundary",),
        lambda there: {"permissionsBoundary": there.boundary},
        {"registry-user": "update"},
    ),
    Change(
        ("permissionsBoundary",),
        lambda there: {"permissionsBoundary": there.boundary},
        {WEB_ROLE: "update"},
        base=AS_ON_AWS | IDENTITIES["irsa"],
    ),
    Change(("replicas",), _is(replicas=3), ROLL),
    Change(("bucket.protect",), _is(bucket={"protect": True}), {}),
    Change(("bucket.forceDestroy",), _is(bucket={"forceDestroy": False}), {"registry-bucket": "update"}),
    Change(
        ("bucket.kmsKeyArn",),
        lambda there: {"bucket": {"kmsKeyArn": there.kms_key}},
        {
            "registry-encryption": "update",
            "registry-bucket-policy": "update",
            "registry-policy": "update",
        },
        outage=True,
    ),
    Change(("bucket.versioning",), _is(bucket={"versioning": True}), {"registry-versioning": "update"}),
    Change(
        ("bucket.noncurrentVersionDays",), _is(bucket={"noncurrentVersionDays": 7}), {"registry-lifecycle": "update"}
    ),
    Change(("bucket.tlsOnly",), _is(bucket={"tlsOnly": False}), {"registry-bucket-policy": "update"}),
    Change(
        ("bucket.endpoint",),
        lambda there: {"bucket": {"tlsOnly": False, "endpoint": there.endpoint}},
        {PLAIN_S3_POLICY: "create", S3_POLICY: "delete", **ROLL},
        base={"bucket": {"tlsOnly": False}},
    ),
    Change(
        ("loadBalancer.internal",),
        _is(loadBalancer={"internal": True}),
        {SERVICE: "replace", RECORD: "update"},
        outage=True,
    ),
    Change(
        ("loadBalancer.type",),
        _is(loadBalancer={"type": "network"}),
        {SERVICE: "replace", RECORD: "update"},
        outage=True,
    ),
    Change(("loadBalancer.subnets",), lambda there: {"loadBalancer": {"subnets": [there.subnet]}}, {SERVICE: "update"}),
    Change(
        ("loadBalancer.annotations.<name>",),
        _is(loadBalancer={"annotations": {f"{PREFIX}healthcheck-healthy-threshold": "3"}}),
        {SERVICE: "update"},
    ),
    Change(("loadBalancer.allowedCidrs",), _is(loadBalancer={"allowedCidrs": ["127.0.0.0/8"]}), {SERVICE: "update"}),
    Change(("loadBalancer.idleTimeoutSeconds",), _is(loadBalancer={"idleTimeoutSeconds": 600}), {SERVICE: "update"}),
    Change(
        ("loadBalancer.sslNegotiationPolicy",),
        _is(loadBalancer={"sslNegotiationPolicy": "ELBSecurityPolicy-2016-08"}),
        {SERVICE: "update"},
    ),
    Change(
        ("anonymousPush",),
        _is(users=[], anonymousPush=True),
        {
            "registry-password-registry": "delete",
            "registry-password-salt-registry": "delete",
            "registry-secret": "replace",
            **ROLL,
        },
        outage=True,
    ),
    Change(("redirect",), _is(redirect=False), ROLL),
    Change(("zoneRoleArn",), lambda there: {"zoneRoleArn": there.zone_role}, {}),
    Change(
        ("accessLogs.bucket",),
        lambda there: {"accessLogs": {"bucket": there.logs}},
        {"registry-logging": "create", SERVICE: "update"},
    ),
    Change(
        ("tags.<name>",),
        _is(tags={"team": "platform"}),
        {"registry-bucket": "update", "registry-user": "update", "registry-certificate": "update", SERVICE: "update"},
    ),
    Change(("networkPolicy",), _is(networkPolicy=False), {POLICY: "delete", S3_POLICY: "delete"}),
    Change(("chunkSize",), _is(chunkSize="8Mi"), ROLL, is_short=True),
    Change(
        ("namespace",),
        _is(namespace=OTHER_NAMESPACE),
        {
            **dict.fromkeys(
                ("registry-access-key-secret", "registry-secret", "registry-storage-check"),
                "replace",
            ),
            **{f"registry-{one}-{OTHER_NAMESPACE}": "create" for one in NAMESPACED},
            **{f"registry-{one}-{NAME}": "delete" for one in NAMESPACED},
            RECORD: "update",
        },
    ),
]

CLASS_CHANGES = [
    Change(
        ("loadBalancer.class",),
        _is(loadBalancer={"class": CONTROLLER_CLASS}),
        {SERVICE: "replace", RECORD: "update"},
        back={},
        outage=True,
    ),
    Change(
        ("loadBalancer.targetType",),
        _is(loadBalancer={"class": CONTROLLER_CLASS, "targetType": "ip"}),
        {SERVICE: "update", **ROLL},
        base={"loadBalancer": {"class": CONTROLLER_CLASS}},
        outage=True,
    ),
]
"""Those of a cluster that has the AWS Load Balancer Controller, in this order: a class that is set no more stays."""
