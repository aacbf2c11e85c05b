"""Ownership: which objects in the cluster are this stack's, and that it takes nobody else's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_random as random
from pydantic.alias_generators import to_camel

from registry import cluster
from registry.live_objects import OWNER, Stack, additions, has_moved_port, keep_additions, owner, refusal, strangers
from registry.settings import Settings

PATCH_FORCE = "pulumi.com/patchForce"
"""The annotation by which the Kubernetes provider takes a field back that somebody else has set:
pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/"""


class Ownership(pulumi.ComponentResource):
    """What makes the stack's Kubernetes objects its own: a mark on each, and the right to take back what it declares.

    Before any of them is registered, the cluster is asked for what has their names. Raises ClusterError if there is
    something that this stack did not make, as taking fields back would seize it, and if the cluster cannot be asked.

    Outputs: `annotations` (dict of strings), which every object of the stack has.
    """

    annotations: Mapping[str, str]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("registry:index:Ownership", name, None, opts)
        # Tells stacks of one name apart that are in two backends, or one made anew: the state keeps it.
        id_ = random.RandomUuid(f"{name}-stack-id", opts=pulumi.ResourceOptions(parent=self))
        stack_name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"

        stack_id = _known(id_)

        found = cluster.existing_objects(settings.namespace, _names(settings))
        self._live = dict(found.objects)
        if found.objects:
            unmarked = any(owner(live) is None for live in found.objects.values())
            stack = Stack(stack_name, stack_id, **_last_outputs(stack_name) if unmarked else {})
            if foreign := strangers(found.objects, stack):
                count = "an object is" if len(foreign) == 1 else f"{len(foreign)} objects are"
                lines = [refusal(one, found.objects[one], stack) for one in foreign]
                raise cluster.ClusterError("\n".join([f"{count} in the way, in {found.name}:", *lines]))

        # Nothing unknown: with it a preview compares inputs as they are written, and finds replacements where none are.
        self.annotations = {PATCH_FORCE: "true", OWNER: f"{stack_name} {stack_id or 'new'}"}
        self.register_outputs({"annotations": self.annotations})

    def meet_hands(self, name: str, inputs: Mapping[str, Any]) -> list[pulumi.ResourceHook]:
        """For the object `<kind>/<name>`, about to be registered with these inputs, see what hands have done to it.

        Warns of what somebody added. Returns what is to be done just before an update of it, if anything: keep what was
        added from the provider (see `keep_additions`), and give a port of a Service its own number back
        (`has_moved_port`). At preview the cluster is asked to try the update, and would refuse it before that is done;
        so there such ports are made unknown in the inputs.
        """
        live = self._live.get(name)
        if live is None:
            return []
        spec: Any = inputs.get("spec", {})
        ports: Any = spec.get("ports") or []
        port_is_moved = bool(ports) and has_moved_port(live, ports)
        listed = {**inputs, "spec": {**spec, "ports": live["spec"]["ports"]}} if port_is_moved else inputs
        pulumi.Output.from_input(listed).apply(
            lambda declared: [*map(pulumi.log.warn, additions(name, live, declared))]
        )
        if port_is_moved and pulumi.runtime.is_dry_run():
            spec["ports"] = pulumi.runtime.rpc.UNKNOWN
        if not port_is_moved and not keep_additions(live):
            return []

        def prepare(update: pulumi.ResourceHookArgs) -> None:
            declared = [{to_camel(key): value for key, value in port.items()} for port in ports]
            move = [{"op": "replace", "path": "/spec/ports", "value": declared}] if port_is_moved else []
            cluster.patch(live["metadata"]["namespace"], name, lambda now: [*keep_additions(now), *move])

        return [pulumi.ResourceHook(f"prepare-{name.partition('/')[0]}", prepare)]


def _names(settings: Settings) -> list[str]:
    """The names that the stack's objects have, and those that another workload on the same pods would have."""
    names = ["deployment/kube-registry", "replicationcontroller/kube-registry-v0"]
    names += ["service/kube-registry", "serviceaccount/kube-registry"]
    return [*names, "networkpolicy/kube-registry"] if settings.network_policy else names


def _known(id_: random.RandomUuid) -> str | None:
    """The id in the state; None at the preview of a first update."""
    answer = pulumi.runtime.invoke("pulumi:pulumi:getResource", {"urn": id_.urn}).value or {}
    result = (answer.get("state") or {}).get("result")
    return result if isinstance(result, str) else None


def _last_outputs(stack_name: str) -> dict[str, str | None]:
    """Of the stack's outputs after its last update those that name things outside it; none before its first."""
    outputs: Mapping[str, Any] = {}
    # A state in the layout of before Pulumi 3.61 knows stacks by their bare names only.
    for name in (stack_name, pulumi.get_stack()):
        with contextlib.suppress(Exception):
            answer = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name})
            outputs = (answer.value or {}).get("outputs") or {}
            break
    return {"bucket": outputs.get("bucketName"), "load_balancer_hostname": outputs.get("loadBalancerHostname")}
