"""Which kind of load balancer the stack's Service gets: by its settings, what it is already, and the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from registry.load_balancer.annotations import PREFIX
from registry.load_balancer.kinds import CONTROLLER_CLASS, Kind
from registry.settings import LoadBalancerSettings, set_command, told

_SETTING = "loadBalancer.class"


@dataclass(frozen=True)
class Refused:
    """The cluster would make no Service, or did not say: `is_denied` if one may not ask. `reason`: on one line."""

    reason: str
    is_denied: bool = False


@dataclass(frozen=True)
class Found:
    """The kind of load balancer, `is_known` for sure; what is to be said of how it was found, and what is wrong."""

    kind: Kind
    is_known: bool = True
    note: str | None = None
    warning: str | None = None
    mistake: str | None = None


def find(
    settings: LoadBalancerSettings,
    namespace: str,
    service: Mapping[str, Any] | None,
    ask: Callable[[], str | Refused | None],
) -> Found:
    """Decide for a Service, given as the API server or the stack's state has it, or None where the stack has none.

    A Service keeps the class that it has, as no class can be changed: only what is set makes another Service, and so
    does another `namespace`. `ask` tells what class the cluster gives a new one that has none; the cluster is asked
    where one is to be made only.
    """
    wanted = Kind.NETWORK if settings.type == "network" else Kind.CLASSIC
    if settings.class_:
        return Found(Kind.of_class(settings.class_) or wanted, warning=_doubt(settings.class_, service, ask))
    if service is not None:
        living = class_of(service)
        if living and not settings.type:
            return replace(_of_class(living, "is that of the stack's Service"), note=None)
        found = (kind_of(service), is_internal(service), service["metadata"].get("namespace"))
        if found == (wanted, settings.internal, namespace):
            return Found(wanted)
    given = ask()
    if isinstance(given, Refused):
        return _refused(wanted, given, is_known=settings.type is not None)
    if given and settings.type:
        return Found(wanted, mistake=_type_is_moot(settings.type, given))
    return _of_class(given, "is what this cluster gives each new Service") if given else Found(wanted)


def class_of(service: Mapping[str, Any]) -> str | None:
    """The class that a Service has, given as for `find`."""
    return (service.get("spec") or {}).get("loadBalancerClass")


def kind_of(service: Mapping[str, Any] | None) -> Kind | None:
    """The kind of load balancer that a Service has, given as for `find`; None if there is none, or of a class that the
    stack does not know."""
    if service is None:
        return None
    if service_class := class_of(service):
        return Kind.of_class(service_class)
    return Kind.NETWORK if _annotation(service, "type") == "nlb" else Kind.CLASSIC


def is_internal(service: Mapping[str, Any]) -> bool:
    """Whether a Service, given as for `find`, has an internal load balancer: what is not said means public to the cloud
    controller, and internal to the others."""
    if scheme := _annotation(service, "scheme"):
        return scheme == "internal"
    if internal := _annotation(service, "internal"):
        return internal == "true"
    return class_of(service) is not None


def _annotation(service: Mapping[str, Any], name: str) -> str | None:
    return (service["metadata"].get("annotations") or {}).get(f"{PREFIX}{name}")


def _doubt(
    service_class: str, service: Mapping[str, Any] | None, ask: Callable[[], str | Refused | None]
) -> str | None:
    """A class is set that the cluster does not have, perhaps: it is asked where a Service is to get the class."""
    if service is not None and class_of(service) == service_class:
        return None
    given = ask()
    if not isinstance(given, str) or given == service_class:
        return None
    return (
        f"{_SETTING} is {service_class}, and this cluster gives a new Service {given}: if nothing in it makes load "
        f"balancers of the one that is set, the Service gets none. Remedy: {set_command(_SETTING, given)}"
    )


def _refused(wanted: Kind, refused: Refused, *, is_known: bool) -> Found:
    command = set_command(_SETTING, CONTROLLER_CLASS)
    if refused.is_denied:
        text = (
            f"which class the cluster gives a Service was not asked, as it denies that: {refused.reason}. If the AWS "
            f"Load Balancer Controller or EKS Auto Mode makes its load balancers, name it: {command}"
        )
        return Found(wanted, is_known, warning=text)
    rule = f"be found out by a Service that the cluster would take, and it takes none: {refused.reason}"
    remedy = (
        f"see that its controllers run (kubectl get pods --namespace kube-system), then try again; or\n    {command}"
    )
    return Found(wanted, is_known, mistake=told(_SETTING, None, rule, remedy))


def _type_is_moot(type_: str, given: str) -> str:
    rule = f"be left out, as this cluster gives each new Service the class {given}, and the cloud controller takes none"
    remedy = (
        "pulumi config rm --path loadBalancer.type; or have the controller's webhook leave the namespace alone\n"
        "    (helm: serviceMutatorWebhookConfig.namespaceSelectors, or enableServiceMutatorWebhook=false)"
    )
    return told("loadBalancer.type", type_, rule, remedy)


def _of_class(service_class: str, why: str) -> Found:
    kind = Kind.of_class(service_class)
    if kind is None:
        rule = f"be one of {', '.join(_known())}: {service_class}, which {why}, is none that the stack knows"
        remedy = f"{set_command(_SETTING, CONTROLLER_CLASS)}, or what makes the cluster's load balancers"
        return Found(Kind.CLASSIC, is_known=False, mistake=told(_SETTING, None, rule, remedy))
    return Found(kind, note=f"{_SETTING} is not set: the Service gets the class {service_class}, which {why}")


def _known() -> list[str]:
    return [kind.service_class for kind in Kind if kind.service_class]
