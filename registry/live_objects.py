"""What the cluster's objects tell: whose they are, and what was added to them by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OWNER = "kube-registry/owner"
"""The annotation that says whose an object is: `organization/project/stack`, a space, and the stack's id."""

Live = Mapping[str, Any]
"""An object as the API server gives it."""

WORKLOADS = ("deployment", "replicationcontroller")


@dataclass(frozen=True)
class Stack:
    """A stack, as far as its objects can be told from others' by it.

    `name` is `organization/project/stack`, `id` what its state keeps from its first update on (None before). The two
    others are of its last outputs, if it has any.
    """

    name: str
    id: str | None = None
    bucket: str | None = None
    load_balancer_hostname: str | None = None


def owner(live: Live) -> str | None:
    """What the object's mark says."""
    return (live["metadata"].get("annotations") or {}).get(OWNER)


def strangers(objects: Mapping[str, Live], stack: Stack) -> list[str]:
    """Which of the objects (by `<kind>/<name>`) are not the stack's own.

    A mark decides: by the id, which tells stacks of one name in two backends apart and survives a change of name; where
    somebody set a mark without an id, by the name. Former releases made no mark. An object without one is the stack's
    by evidence: a workload that uses its bucket, a Service whose load balancer is the one in its outputs; what has no
    such evidence of its own (ServiceAccount, NetworkPolicy) goes with these.
    """
    own = {name: _is_own(name.partition("/")[0], live, stack) for name, live in objects.items()}
    anything = any(own.values())
    return [name for name, is_own in own.items() if is_own is False or (is_own is None and not anything)]


def _is_own(kind: str, live: Live, stack: Stack) -> bool | None:
    """None: there is nothing to tell it by."""
    if mark := owner(live):
        name, _, id_ = mark.partition(" ")
        return id_ == stack.id if id_ else name == stack.name
    if kind in WORKLOADS:
        containers = live["spec"]["template"]["spec"].get("containers") or []
        variables = [variable for container in containers for variable in container.get("env") or []]
        buckets = [one.get("value") for one in variables if one["name"] == "REGISTRY_STORAGE_S3_BUCKET"]
        return stack.bucket is not None and stack.bucket in buckets
    if kind == "service":
        return stack.load_balancer_hostname in load_balancer_hostnames(live)
    return None


def load_balancer_hostnames(service: Live | None) -> list[str]:
    """The names that AWS gave the load balancer of a Service; none if there is no Service, or no load balancer yet."""
    ingress = (service or {}).get("status", {}).get("loadBalancer", {}).get("ingress") or []
    return [one["hostname"] for one in ingress if one.get("hostname")]


def refusal(name: str, live: Live, stack: Stack) -> str:
    """What to say of an object that is a stranger's, in the form of the settings' errors.

    Without the variable the provider makes nothing that is there already:
    github.com/pulumi/pulumi-kubernetes/blob/master/CHANGELOG.md, 4.29.0
    """
    namespace = live["metadata"]["namespace"]
    mark = owner(live)
    if mark:  # nothing that would harm somebody's registry
        whose, remedy = f"is that of {mark}", ";\n    if that stack is gone, give it to this one"
    else:
        whose = "was not made by this stack: nothing says whose it is"
        remedy = f", or kubectl delete --namespace {namespace} {name},\n    or give it to this stack"
    return (
        f"  {name} in namespace {namespace} {whose}.\n"
        f"    Remedy: pulumi config set namespace ANOTHER{remedy}, which then changes it into its own:\n"
        f"    kubectl annotate --overwrite --namespace {namespace} {name} {OWNER}={stack.name} &&\n"
        "    PULUMI_K8S_UPSERT_EXISTING_OBJECTS=true pulumi up"
    )


def has_moved_port(service: Live, declared: Sequence[Mapping[str, Any]]) -> bool:
    """Whether somebody gave a port of the Service, which has the name of a `declared` one, another number.

    Kubernetes knows an entry of `ports` by its number. So the declared one would come beside the moved one, and two
    of a name are refused.
    """
    names, numbers = {port["name"] for port in declared}, {port["port"] for port in declared}
    others = (entry for entry in service["metadata"].get("managedFields") or [] if not _is_pulumi(entry["manager"]))
    held = [_held_ports(entry.get("fieldsV1") or {}) for entry in others]
    return any(
        port.get("name") in names and port["port"] not in numbers and any(port["port"] in numbers_ for numbers_ in held)
        for port in service["spec"].get("ports") or []
    )


def keep_additions(live: Live) -> list[dict[str, Any]]:
    """A JSON patch of the object's bookkeeping by which the provider leaves what somebody has added with kubectl.

    Before an update the provider makes everything its own that was set by whatever begins with `kubectl`
    (pulumi-kubernetes, provider/pkg/await/await.go, fixCSAFieldManagers), and so removes what it was not told of. Under
    another name it stays where it is. Nothing but the name changes.
    """
    return [
        {"op": "replace", "path": f"/metadata/managedFields/{number}/manager", "value": f"by-hand-{entry['manager']}"}
        for number, entry in enumerate(live["metadata"].get("managedFields") or [])
        if entry["manager"].startswith("kubectl") and entry["operation"] == "Update" and not entry.get("subresource")
    ]


def _held_ports(fields: Mapping[str, Any]) -> set[int]:
    """The numbers of the ports of a Service in a set of fields."""
    entries = fields.get("f:spec", {}).get("f:ports", {})
    return {json.loads(key.removeprefix("k:"))["port"] for key in entries if key.startswith("k:")}


def _is_pulumi(manager: str) -> bool:
    return manager.startswith("pulumi")


_CONTROLLERS = re.compile(
    r"kube-controller-manager|kube-scheduler|kubelet|(aws-)?cloud-controller-manager|controller|manager"
    r"|eks.*|aws-load-balancer-controller"
)
"""The field managers that are not somebody: the control plane, the controllers of AWS."""

_NOTES = re.compile(r"kubectl\.kubernetes\.io/.*|deployment\.kubernetes\.io/.*|pulumi\.com/.*")
"""Annotations that tools keep for themselves."""


def additions(name: str, live: Live, declared: Mapping[str, Any]) -> list[str]:
    """What somebody added to the object beside what the stack declares, one line each: what, where, how to remove it.

    `declared` are the object's inputs, by their names in the API or in Python.
    """
    namespace = live["metadata"]["namespace"]
    found: dict[str, str] = {}
    for entry in live["metadata"].get("managedFields") or []:
        manager = entry["manager"]
        # A subresource (status, scale) holds nothing that could be added.
        if entry.get("subresource") or _is_pulumi(manager) or _CONTROLLERS.fullmatch(manager):
            continue
        for path in _undeclared(entry.get("fieldsV1") or {}, declared, live):
            # Finalizers are what controllers hold an object by, whatever they are called.
            if path[0] != "status" and path[:2] != ("metadata", "finalizers") and not _NOTES.fullmatch(path[-1]):
                found.setdefault(_text(path), _removal(name, namespace, path))
    return [
        f"{name} in namespace {namespace} has {path}, which this stack did not set and leaves alone. "
        f"Remove it by: {command}"
        for path, command in found.items()
    ]


Path = tuple[str, ...]
"""Fields from the outermost on; an entry of a list is its name, or its keys, in brackets."""


def _undeclared(fields: Mapping[str, Any], declared: Any, live: Any, path: Path = ()) -> Iterator[Path]:
    """The paths in a set of fields (fieldsV1 of the API) that are not declared: single fields, and entries of lists.

    A map that is written as a whole, as the selector of a Service, is one field: what it has is in the object only, at
    whose place `live` is. The format: kubernetes.io/docs/reference/using-api/server-side-apply/, "Field management".
    """
    for key, inner in fields.items():
        kind, _, what = key.partition(":")
        if kind == "f":
            below = _field(declared, what)
            if inner and not (inner.keys() <= {"."}):
                yield from _undeclared(inner, below, _field(live, what), (*path, what))
            elif below is None:
                yield (*path, what)
            elif not inner and isinstance(whole := _field(live, what), Mapping):
                yield from ((*path, what, one) for one in whole if _field(below, one) is None)
        elif kind == "k":
            keys: dict[str, Any] = json.loads(what)
            entry = _entry(declared, keys)
            if entry is None:
                label = keys["name"] if keys.keys() == {"name"} else ",".join(f"{k}={v}" for k, v in keys.items())
                yield (*path, f"[{label}]")
            else:
                there = _entry(live, keys)
                yield from _undeclared(inner, entry, there, (*path, f"[{'/'.join(map(str, keys.values()))}]"))
        elif kind == "v" and json.loads(what) not in (declared or []):
            yield (*path, f"[{json.loads(what)}]")


def _field(declared: Any, name: str) -> Any:
    """The value of a field, whose key may be written as in the API or as in Python."""
    if not isinstance(declared, Mapping):
        return None
    return declared.get(name, declared.get(re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)))


def _entry(declared: Any, keys: Mapping[str, Any]) -> Any:
    """The entry of a list that has these keys."""
    entries = declared if isinstance(declared, Sequence) and not isinstance(declared, str) else []
    return next((one for one in entries if all(_field(one, key) == value for key, value in keys.items())), None)


def _text(path: Path) -> str:
    """The path as a person reads it: spec.template.spec.containers[registry].env[NAME]."""
    parts = (
        part if part.startswith("[") else f"[{part}]" if "." in part or "/" in part else f".{part}" for part in path
    )
    return "".join(parts).removeprefix(".")


def _removal(name: str, namespace: str, path: Path) -> str:
    """The command that removes what is at the path."""
    match path:
        case ("metadata", "annotations", key):
            return f"kubectl annotate --namespace {namespace} {name} {key}-"
        case ("metadata", "labels", key):
            return f"kubectl label --namespace {namespace} {name} {key}-"
        case (*_, container, "env", variable) if variable.startswith("["):
            chosen = f"--containers={container.strip('[]')}"
            return f"kubectl set env --namespace {namespace} {name} {chosen} {variable.strip('[]')}-"
        case _ if any(part.startswith("[") for part in path):  # an entry's place in its list may change
            return f"kubectl edit --namespace {namespace} {name}"
        case _:
            pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)
            patch = json.dumps([{"op": "remove", "path": pointer}])
            return f"kubectl patch --namespace {namespace} {name} --type json --patch '{patch}'"
