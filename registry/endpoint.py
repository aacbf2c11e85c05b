"""Endpoint: how clients reach the registry by its name."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from registry.environment import PORT
from registry.settings import Settings


class Endpoint(pulumi.ComponentResource):
    """A LoadBalancer Service, and the Route53 alias record that points at the load balancer which AWS makes for it.

    Outputs: `load_balancer_hostname` (Output[str], the load balancer's own DNS name) and `url` (Output[str]).
    """

    load_balancer_hostname: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        selector: Mapping[str, str],
        workload: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("registry:index:Endpoint", name, None, opts)

        service = k8s.core.v1.Service(
            f"{name}-service",
            metadata={
                "name": "kube-registry",
                "namespace": settings.namespace,
                "labels": {
                    **selector,
                    "kubernetes.io/cluster-service": "true",
                    "kubernetes.io/name": "KubeRegistry",
                },
            },
            spec={
                "type": "LoadBalancer",
                "selector": selector,
                "ports": [{"name": "registry", "port": 80, "target_port": PORT, "protocol": "TCP"}],
            },
            # Waits for ready pods: without them there is nothing to wait for.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[workload]),
        )
        # AWS gives a load balancer a name, never a fixed address.
        self.load_balancer_hostname = service.status.load_balancer.ingress[0].hostname

        invoke = pulumi.InvokeOutputOptions(parent=self)
        zone = aws.route53.get_zone_output(name=settings.zone, private_zone=settings.private_zone, opts=invoke)
        record = aws.route53.Record(
            f"{name}-record",
            zone_id=zone.zone_id,
            name=settings.hostname,
            type="A",
            aliases=[
                {
                    "name": self.load_balancer_hostname,
                    "zone_id": aws.elb.get_hosted_zone_id_output(opts=invoke).id,
                    "evaluate_target_health": False,
                }
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Known when the name works: a stack that reads it may pull at once.
        self.url = record.fqdn.apply(lambda fqdn: f"http://{fqdn}")
        self.register_outputs({"loadBalancerHostname": self.load_balancer_hostname, "url": self.url})
