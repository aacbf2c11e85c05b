"""Ownership: which objects in the cluster are this stack's, and that it takes nobody else's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
import pulumi_random as random
from pydantic.alias_generators import to_camel

from registry import cluster, stack_state
from registry.live_objects import (
    OWNER,
    Stack,
    additions,
    has_moved_port,
    keep_additions,
    load_balancer_hostnames,
    owner,
    refusal,
    strangers,
)
from registry.settings import set_command, told

PATCH_FORCE = "pulumi.com/patchForce"
"""The annotation by which the Kubernetes provider takes a field back that somebody else has set:
pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/"""


_REGISTRY = ("deployment/kube-registry", "replicationcontroller/kube-registry-v0", "service/kube-registry")
"""A cluster that the registry is in has at least one of them."""
_NAMES = (*_REGISTRY, "serviceaccount/kube-registry")
"""The names that the stack's objects have, and those that another workload on the same pods would have."""


class Ownership(pulumi.ComponentResource):
    """What makes the stack's Kubernetes objects its own: a mark on each, and the right to take back what it declares.

    Before any of them is registered, the cluster is asked for the namespace and for what has their names there. What
    this stack did not make is a mistake, as taking fields back would seize it; so is a cluster that cannot be asked.

    Outputs: `annotations` (dict of strings), which every object of the stack has. Found in the cluster: `mistakes` (in
    the words of the settings' errors), `cluster` (its name for a person, None if it cannot be asked), `cluster_region`
    if it tells one, `namespace_labels` (None if one may not see them), and `load_balancer_hostnames` of the stack's
    Service. `has_state`: the stack was updated before, or is now.
    """

    annotations: Mapping[str, str]
    mistakes: list[str]
    cluster: str | None
    cluster_region: str | None
    namespace_labels: Mapping[str, str] | None
    load_balancer_hostnames: list[str]
    has_state: bool

    def __init__(
        self, name: str, *, namespace: str, network_policies: Iterable[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Ownership", name, None, opts)
        # Tells stacks of one name apart that are in two backends, or one made anew: the state keeps it.
        id_ = random.RandomUuid(f"{name}-stack-id", opts=pulumi.ResourceOptions(parent=self))
        stack_name = stack_state.stack_name()
        stack_id = stack_state.known_output(id_, "result")
        self.has_state = stack_id is not None or bool(stack_state.last_outputs())

        self.mistakes, self.cluster, self.cluster_region, self._live = [], None, None, {}
        self.namespace_labels = None
        self._name = name
        self._uid = recorded = self._recorded_cluster(name)
        try:
            found = cluster.existing_objects(
                namespace, [*_NAMES, *(f"networkpolicy/{one}" for one in network_policies)]
            )
        except cluster.ClusterError as error:
            self.mistakes.append(str(error))
        else:
            self.cluster, self.cluster_region = found.name, found.region
            self.namespace_labels = found.namespace_labels
            self.mistakes += cluster_mistakes(found, recorded, f"{name}-cluster")
            if self.has_state and not recorded and _lacks_service(found, f"{name}-service"):
                self.mistakes.append(missing_service(found.context, namespace))
            self._uid = recorded or found.uid
            if not found.uid:
                pulumi.log.warn(
                    "whether this is the stack's cluster was not looked at, as it denies to get the namespace "
                    "kube-system; docs/rights.md lists the rights that a preview needs"
                )
            if not found.has_namespace:
                rule = "be a namespace that exists in the cluster"
                remedy = f"kubectl create namespace {namespace}, or name one of kubectl get namespaces"
                self.mistakes.append(told("namespace", namespace, rule, remedy))
            unmarked = any(owner(live) is None for live in found.objects.values())
            stack = Stack(stack_name, stack_id, **_last_outputs() if unmarked else {})
            foreign = strangers(found.objects, stack)
            self.mistakes += [refusal(one, found.objects[one], stack) for one in foreign]
            self._live = {one: live for one, live in found.objects.items() if one not in foreign}
        self.load_balancer_hostnames = load_balancer_hostnames(self._live.get("service/kube-registry"))

        # Nothing unknown: with it a preview compares inputs as they are written, and finds replacements where none are.
        self.annotations = {PATCH_FORCE: "true", OWNER: f"{stack_name} {stack_id or 'new'}"}
        self.register_outputs({})

    def _recorded_cluster(self, name: str) -> str | None:
        """The uid of the cluster that the stack is in, as its state has it."""
        stashes = stack_state.resources("pulumi:index:Stash") if self.has_state else {}
        return stashes.get(f"{name}-cluster", {}).get("output")

    def record_cluster(self) -> None:
        """Keep the cluster's uid in the state, once nothing is wrong: the first stays, and no other is taken for it."""
        if self._uid:
            pulumi.Stash(f"{self._name}-cluster", input=self._uid, opts=pulumi.ResourceOptions(parent=self))

    def former_name(self, type_: str, former: str, /, **told: str) -> list[pulumi.Alias] | None:
        """The alias `former` of a resource that is called otherwise now, if the state has it and it is the same thing.

        That it is if its outputs, or what is in its `metadata`, are as `told`.
        """
        return stack_state.former_name(type_, former, **told) if self.has_state else None

    def service(self) -> Mapping[str, Any] | None:
        """The stack's Service as it is in the cluster, else as the state has it."""
        return self._live.get("service/kube-registry") or self.recorded_service()

    def recorded_service(self) -> Mapping[str, Any] | None:
        """The stack's Service as the state has it, one of another namespace too."""
        found = stack_state.resources("kubernetes:core/v1:Service") if self.has_state else {}
        return next((one for one in found.values() if "metadata" in one), None)

    def moves_to(self, namespace: str) -> bool:
        """Whether the state has a Service of another namespace, which goes when all else has succeeded."""
        found = stack_state.resources("kubernetes:core/v1:Service") if self.has_state else {}
        return any(one.get("metadata", {}).get("namespace") not in (None, namespace) for one in found.values())

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


def cluster_mistakes(found: cluster.Cluster, recorded: str | None, stash: str) -> list[str]:
    """Return what is wrong with the cluster that was found: nobody named it, or its uid is not the `recorded` one.

    `stash` is the resource that records it.
    """
    mistakes: list[str] = []
    if not found.is_named:
        rule = "name the stack's cluster, as pulumi destroy and refresh, which run no program, would turn to any"
        remedy = "give this cluster's kubeconfig: pulumi config set --secret kubernetes:kubeconfig < FILE"
        if found.context:
            remedy = f"{set_command('kubernetes:context', found.context)}, which is the current one"
        mistakes.append(told("kubernetes:context", None, rule, remedy))
    if found.uid and recorded and found.uid != recorded:
        type_ = "registry:index:Ownership$pulumi:index:Stash"
        urn = f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{type_}::{stash}"
        rule = (
            f"lead to the stack's cluster, whose kube-system has the uid {recorded}, and in this one it is {found.uid}"
        )
        remedy = (
            "choose the stack's: pulumi config set kubernetes:context NAME. If this cluster has taken its place:\n"
            f"    pulumi state delete '{urn}' && pulumi up --refresh --run-program"
        )
        mistakes.append(told("kubernetes:context", found.context, rule, remedy))
    return mistakes


def missing_service(context: str | None, namespace: str) -> str:
    """What to say where a stack is to be bound to a cluster that has nothing of what the stack made in its own."""
    rule = (
        f"lead to the stack's cluster, which has a Service kube-registry in namespace {namespace} after its last update"
    )
    remedy = (
        "choose the stack's: pulumi config set kubernetes:context NAME. If the Service was deleted in this cluster,\n"
        "    let the state forget it first: pulumi refresh"
    )
    return told("kubernetes:context", context, rule, remedy)


def _lacks_service(found: cluster.Cluster, former: str) -> bool:
    """Whether the state has the Service by its `former` name, of before clusters were recorded, and the cluster none.

    A cluster that has a workload of its name is let be: somebody deleted the Service there.
    """
    return former in stack_state.resources("kubernetes:core/v1:Service") and found.objects.keys().isdisjoint(_REGISTRY)


def _last_outputs() -> dict[str, str | None]:
    """Of the stack's outputs after its last update those that name things outside it."""
    outputs = stack_state.last_outputs()
    return {"bucket": outputs.get("bucketName"), "load_balancer_hostname": outputs.get("loadBalancerHostname")}
