"""What each controller is told about the load balancer: settings in, the Service's annotations out.

The cloud controller's: cloud-provider-aws.sigs.k8s.io/service_controller/, and pkg/providers/v1 of its source. The AWS
Load Balancer Controller's: kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/.
Auto Mode's, of which it has fewer: docs.aws.amazon.com/eks/latest/userguide/auto-configure-nlb.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from registry.load_balancer.kinds import Kind
from registry.settings import AccessLogsSettings, LoadBalancerSettings

Text = TypeVar("Text")

DEFAULT_TARGET_TYPE = "instance"
"""Behind it a roll of the pods is none of the load balancer's business: nodes are its targets, and stay."""
PREFIX = "service.beta.kubernetes.io/aws-load-balancer-"
"""What the names of all begin with."""
HTTP_PORT, HTTPS_PORT = 80, 443
DRAINING_SECONDS = 300
"""How long requests that run on a target that leaves may take to their end, as AWS's own console has it."""
ACCESS_LOG_MINUTES = 60
"""How often a log is written, 5 or 60: AWS's own default."""
_LISTS = ("attributes", "listener-attributes.", "target-group-attributes")
"""What the names of the annotations begin with that are lists of KEY=VALUE, to which the settings may add entries."""


def service_annotations(
    kind: Kind,
    balancer: LoadBalancerSettings,
    *,
    tags: Mapping[str, str],
    certificate_arn: Text | None,
    access_logs: AccessLogsSettings,
    access_log_prefix: str,
) -> dict[str, str | Text]:
    """The annotations by their names, those of `loadBalancer.annotations` among them.

    `certificate_arn` goes through untouched, so may be a Pulumi output; None: no TLS. `access_log_prefix`: of the
    objects in the bucket of `access_logs`.
    """
    lists, texts = _lists(kind, balancer, tags, certificate_arn is not None), dict[str, str]()
    if access_logs.bucket:
        if kind in (Kind.CLASSIC, Kind.NETWORK):
            texts |= {
                "access-log-enabled": "true",
                "access-log-emit-interval": str(ACCESS_LOG_MINUTES),
                "access-log-s3-bucket-name": access_logs.bucket,
                "access-log-s3-bucket-prefix": access_log_prefix,
            }
        else:
            lists["attributes"] |= {
                "access_logs.s3.enabled": "true",
                "access_logs.s3.bucket": access_logs.bucket,
                "access_logs.s3.prefix": access_log_prefix,
            }
    match kind:
        case Kind.CLASSIC:
            texts |= {
                "connection-idle-timeout": str(balancer.idle_timeout_seconds),
                # Off by default: a node that leaves would cut every push that comes by it.
                "connection-draining-enabled": "true",
                "connection-draining-timeout": str(DRAINING_SECONDS),
            }
        case Kind.NETWORK:
            texts["type"] = "nlb"
        case Kind.CONTROLLER | Kind.AUTO_MODE:
            texts["nlb-target-type"] = balancer.target_type or DEFAULT_TARGET_TYPE
    if kind in (Kind.CLASSIC, Kind.NETWORK):
        # Off by default: the zones' nodes would get the same share of requests however many they are, and a zone
        # without a node would answer nothing.
        texts["cross-zone-load-balancing-enabled"] = "true"
    if balancer.subnets:
        texts["subnets"] = ",".join(balancer.subnets)
    made: dict[str, str | Text] = dict(texts)
    if certificate_arn is not None:
        made |= {
            "ssl-cert": certificate_arn,
            "ssl-ports": str(HTTPS_PORT),
            "ssl-negotiation-policy": balancer.ssl_negotiation_policy or default_policy(kind),
        }
        if kind is Kind.CLASSIC:
            # TLS ends at the load balancer, which tells the pods of it by X-Forwarded-Proto. The others forward bytes.
            made["backend-protocol"] = "http"
    made |= {name: ",".join(f"{key}={value}" for key, value in one.items()) for name, one in lists.items()}
    own = {**scheme(balancer.internal), **{f"{PREFIX}{name}": value for name, value in made.items()}}
    return _with_further(own, balancer.annotations)


def default_policy(kind: Kind) -> str:
    """The security policy that a listener has where the settings name none: TLS 1.2 and, where there is one, 1.3."""
    return "ELBSecurityPolicy-TLS13-1-2-2021-06" if kind.is_network else "ELBSecurityPolicy-TLS-1-2-2017-01"


def is_list(name: str) -> bool:
    """Whether the annotation PREFIX + `name` is a list of KEY=VALUE."""
    return name.startswith(_LISTS)


def entries(value: str) -> dict[str, str]:
    """The entries of a list, as the annotation has them."""
    parts = (entry.strip().partition("=") for entry in value.split(","))
    return {key: text for key, _, text in parts if key}


def scheme(internal: bool) -> dict[str, str]:
    """The annotations, by their names, of an internal load balancer or of a public one.

    Both ways to say it, as without one the controllers differ: the cloud controller reads `internal` only, Auto Mode
    `scheme` only, and what `internal` left out means is public to the one and internal to the others.
    """
    return {
        f"{PREFIX}scheme": "internal" if internal else "internet-facing",
        f"{PREFIX}internal": "true" if internal else "false",
    }


def _lists(
    kind: Kind, balancer: LoadBalancerSettings, tags: Mapping[str, str], has_tls: bool
) -> dict[str, dict[str, str]]:
    lists: dict[str, dict[str, str]] = {}
    if kind is not Kind.AUTO_MODE:  # there the cluster's IAM role would need rights that it has not by itself
        lists["additional-resource-tags"] = dict(tags)
    if kind.is_network:
        # A node that pulls by the registry's name may be led back to itself: if the load balancer then kept the
        # client's address, source and destination would be the same, and the connection never come about.
        lists["target-group-attributes"] = {"preserve_client_ip.enabled": "false"}
    if kind in (Kind.CONTROLLER, Kind.AUTO_MODE):
        lists["attributes"] = {"load_balancing.cross_zone.enabled": "true"}
    if kind is Kind.CONTROLLER:
        lists["target-group-attributes"]["deregistration_delay.timeout_seconds"] = str(DRAINING_SECONDS)
        if not has_tls:
            # Behind TLS it is fixed: docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html
            timeout = {"tcp.idle_timeout.seconds": str(balancer.idle_timeout_seconds)}
            lists[f"listener-attributes.TCP-{HTTP_PORT}"] = timeout
    return lists


def _with_further(own: Mapping[str, str | Text], further: Mapping[str, str]) -> dict[str, str | Text]:
    """All of them; of a list that both have, the entries of both."""
    joined = {
        name: f"{own[name]},{value}" if name in own and is_list(name.removeprefix(PREFIX)) else value
        for name, value in further.items()
    }
    return {**own, **joined}
