"""Endpoint: how clients reach the registry by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from registry.environment import PORT
from registry.load_balancer import names
from registry.load_balancer.annotations import HTTP_PORT, HTTPS_PORT, PREFIX, service_annotations
from registry.load_balancer.kinds import Kind
from registry.load_balancer.service_class import class_of, is_internal, kind_of
from registry.ownership import Ownership
from registry.pod import POD_LABELS
from registry.settings import AccessLogsSettings, LoadBalancerSettings

_RECORD, _CERTIFICATE = "aws:route53/record:Record", "aws:acm/certificate:Certificate"
SERVICE_LABELS = {
    **POD_LABELS,
    "kubernetes.io/cluster-service": "true",
    "kubernetes.io/name": "KubeRegistry",
}
VALIDATION_RECORD_TTL_SECONDS = 60
VALIDATION_MINUTES = 20
"""How long ACM may take to see the record that proves the name. It does in minutes, or never: if no parent domain
delegates to the zone, or a CAA record forbids it."""
ALIAS_TTL_SECONDS = 60
"""How long resolvers keep an alias that leads to a load balancer: docs.aws.amazon.com/Route53/latest/DeveloperGuide/\
resource-record-sets-choosing-alias-non-alias.html"""


_WHAT_TELLS_THEM = [
    "spec.loadBalancerClass",
    *(f'metadata.annotations["{PREFIX}{name}"]' for name in ("type", "scheme", "internal")),
]
"""The fields that say who makes the load balancer, and its scheme."""


class Endpoint(pulumi.ComponentResource):
    """A LoadBalancer Service, and for each hostname a Route53 alias record that points at the load balancer of it.

    With `tls` acm also a certificate for the hostnames, the first of which it is named after, proven by records in the
    zone. Pods of `workload` are ready before the Service is made. `kind`: who makes the load balancer, and which.
    `adopted_records`: the hostnames whose records are there already, and the stack's. `zone_provider` writes into the
    hosted zone; None: the stack's own.

    Outputs: `load_balancer_hostname` (Output[str], the load balancer's own DNS name) and `url` (Output[str]).
    """

    load_balancer_hostname: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        hostnames: Sequence[str],
        namespace: str,
        tls: str,
        kind: Kind,
        load_balancer: LoadBalancerSettings,
        access_logs: AccessLogsSettings,
        zone_id: str,
        zone_provider: aws.Provider | None,
        adopted_records: Collection[str],
        ownership: Ownership,
        workload: pulumi.Resource,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry:index:Endpoint", name, None, opts)
        certificate_arn: pulumi.Input[str] | None = None if tls == "none" else tls
        if tls == "acm":
            certificate_arn = self._certificate(
                name, hostnames, zone_id=zone_id, zone_provider=zone_provider, ownership=ownership, tags=tags
            )

        metadata: k8s.meta.v1.ObjectMetaArgsDict = {
            "name": "kube-registry",
            "namespace": namespace,
            "labels": SERVICE_LABELS,
            "annotations": {
                **ownership.annotations,
                **service_annotations(
                    kind,
                    load_balancer,
                    tags=tags,
                    certificate_arn=certificate_arn,
                    access_logs=access_logs,
                    access_log_prefix=f"{hostnames[0]}/load-balancer",
                ),
            },
        }
        port = HTTPS_PORT if certificate_arn else HTTP_PORT
        spec: k8s.core.v1.ServiceSpecArgsDict = {
            "type": "LoadBalancer",
            "load_balancer_class": kind.service_class,
            "selector": POD_LABELS,
            "ports": [{"name": "registry", "port": port, "target_port": PORT, "protocol": "TCP"}],
            "load_balancer_source_ranges": load_balancer.allowed_cidrs,
        }
        prepare = ownership.meet_hands("service/kube-registry", {"metadata": metadata, "spec": spec})
        living = ownership.service()
        if pulumi.runtime.is_dry_run() and living and class_of(living) != kind.service_class:
            # A preview has the API server try the new Service over the living one, which may not change its class, and
            # would fail by that. What is unknown is not tried; that the new one's address is, is the truth.
            spec["cluster_ip"] = pulumi.runtime.rpc.UNKNOWN
        recorded = ownership.recorded_service()
        former = recorded and (kind_of(recorded), is_internal(recorded))
        service = k8s.core.v1.Service(
            # Of another namespace it is another one, which is there before this one goes.
            f"{name}-service-{namespace}",
            metadata=metadata,
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self,
                aliases=ownership.former_name("kubernetes:core/v1:Service", f"{name}-service", namespace=namespace),
                # Waits for ready pods: without them there is nothing to wait for.
                depends_on=[workload],
                # What no controller changes on a living Service: who makes the load balancer, and its scheme.
                replacement_trigger=[kind.name, "internal" if load_balancer.internal else "public"],
                # A stack of before there was a trigger has none to compare.
                replace_on_changes=_WHAT_TELLS_THEM if former and former != (kind, load_balancer.internal) else None,
                delete_before_replace=True,
                hooks=pulumi.ResourceHookBinding(before_update=prepare),
            ),
        )
        # AWS gives a load balancer a name, never a fixed address.
        self.load_balancer_hostname = service.status.load_balancer.ingress[0].hostname

        load_balancer_zone_id = self.load_balancer_hostname.apply(_zone_of)
        moves = pulumi.ResourceHookBinding(after_update=[_moved()]) if ownership.moves_to(namespace) else None
        records = [
            aws.route53.Record(
                f"{name}-record-{hostname}",
                zone_id=zone_id,
                name=hostname,
                type="A",
                aliases=[
                    {
                        "name": self.load_balancer_hostname,
                        "zone_id": load_balancer_zone_id,
                        "evaluate_target_health": False,
                    }
                ],
                # Nobody else's is ever overwritten.
                allow_overwrite=True if hostname in adopted_records else None,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    provider=zone_provider,
                    aliases=ownership.former_name(_RECORD, f"{name}-record", name=hostname),
                    hooks=moves,
                ),
            )
            for hostname in hostnames
        ]
        scheme = "https" if certificate_arn else "http"
        # Known when the record is there. A load balancer that is new answers some minutes later.
        self.url = records[0].fqdn.apply(lambda fqdn: f"{scheme}://{fqdn}")
        self.register_outputs({})

    def _certificate(
        self,
        name: str,
        hostnames: Sequence[str],
        *,
        zone_id: str,
        zone_provider: aws.Provider | None,
        ownership: Ownership,
        tags: Mapping[str, str],
    ) -> pulumi.Output[str]:
        """The ARN of a certificate for the hostnames, known when it is issued. AWS renews it by the records."""
        certificate = aws.acm.Certificate(
            f"{name}-certificate",
            domain_name=hostnames[0],
            # All of them each time: to say none at all would leave those that it has.
            subject_alternative_names=hostnames,
            validation_method="DNS",
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

        def proof(hostname: str, part: str) -> pulumi.Output[str]:
            """A part of the record that proves a hostname: ACM lists them in an order of its own."""
            return certificate.domain_validation_options.apply(
                lambda options: getattr({one.domain_name: one for one in options}[hostname], part)
            )

        records = [
            aws.route53.Record(
                f"{name}-certificate-validation-record-{hostname}",
                zone_id=zone_id,
                name=proof(hostname, "resource_record_name"),
                type=proof(hostname, "resource_record_type"),
                records=[proof(hostname, "resource_record_value")],
                ttl=VALIDATION_RECORD_TTL_SECONDS,
                # It is the same for every certificate that an account has for a name, and may be there already.
                allow_overwrite=True,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    provider=zone_provider,
                    # Its own name tells nothing of the hostname that it proves.
                    aliases=[pulumi.Alias(name=f"{name}-certificate-validation-record")]
                    if ownership.former_name(_CERTIFICATE, f"{name}-certificate", domainName=hostname)
                    else None,
                ),
            )
            for hostname in hostnames
        ]
        validation = aws.acm.CertificateValidation(
            f"{name}-certificate-validation",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn for record in records],
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create=f"{VALIDATION_MINUTES}m")
            ),
        )
        return validation.certificate_arn


def _moved() -> pulumi.ResourceHook:
    """Waits until resolvers have heard of the other load balancer: when all has succeeded, Pulumi deletes the former.

    All records change at once, so they wait at once.
    """

    async def wait(_: pulumi.ResourceHookArgs) -> None:
        await asyncio.sleep(ALIAS_TTL_SECONDS)

    return pulumi.ResourceHook("wait-for-resolvers", wait)


def _zone_of(load_balancer_hostname: str) -> pulumi.Output[str]:
    """The id of the hosted zone in which a load balancer of this name has it. AWS has one in each region for either
    kind, and the provider a table of them. Raises UnknownNameError."""
    name = names.read(load_balancer_hostname)
    if name.is_network:
        return aws.lb.get_hosted_zone_id_output(load_balancer_type="network", region=name.region).id
    return aws.elb.get_hosted_zone_id_output(region=name.region).id
