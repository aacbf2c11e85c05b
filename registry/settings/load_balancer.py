"""The settings of the load balancer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from registry.settings.annotations import ANNOTATIONS_RULE, AnnotationValue, judged_annotations
from registry.settings.model import SettingsModel
from registry.settings.tls_policies import TlsPolicy
from registry.settings.value_types import Cidr, ServiceClass, Subnet, refused

TYPE_RULE = "be left out where loadBalancer.class is set: the cloud controller takes no Service of a class"
"""What it owes `class`, completing "must ..."."""


class LoadBalancerSettings(SettingsModel):
    """`loadBalancer`: the way in."""

    class_: ServiceClass | None = Field(
        default=None,
        alias="class",
        examples=["service.k8s.aws/nlb"],
        description="Who makes the load balancer, a network one: service.k8s.aws/nlb, the AWS Load Balancer "
        "Controller; eks.amazonaws.com/nlb, EKS Auto Mode. Another one makes another load balancer. Left out: the "
        "class that the stack's Service has; on a new stack the one that the cluster gives a Service by itself; else "
        "the cloud controller.",
    )
    type: Literal["classic", "network"] | None = Field(
        default=None,
        validate_default=True,
        examples=["network"],
        json_schema_extra={"together": TYPE_RULE},
        description="What the cloud controller makes, where the Service has no class: classic or network. Another one "
        "makes another load balancer. Left out: classic, where there is no class.",
    )
    target_type: Literal["instance", "ip"] | None = Field(
        default=None,
        examples=["ip"],
        json_schema_extra={"together": "be left out for a load balancer of the cloud controller"},
        description="Where the load balancer of a class sends connections: instance, to the cluster's nodes, or ip, to "
        "the pods themselves, which Fargate needs. With ip the namespace must be labelled for readiness gates, and "
        "each change of the pods takes minutes: docs/operations.md, Pods as targets. Left out: instance.",
    )
    internal: bool = Field(
        default=False,
        description="Give the load balancer private addresses only: no way in from the internet. Changing it makes "
        "another load balancer.",
    )
    subnets: list[Subnet] | None = Field(
        default=None,
        min_length=1,
        examples=["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"],
        description="The subnets of the load balancer, by id or by the value of the tag Name, one for each "
        "availability zone. Left out: those that are tagged for load balancers.",
    )
    allowed_cidrs: list[Cidr] | None = Field(
        default=None,
        min_length=1,
        examples=["203.0.113.0/24", "198.51.100.7/32"],
        json_schema_extra={"together": "be left out with loadBalancer.type network, which would enforce none"},
        description="The ranges of IPv4 addresses that may connect; nodes that pull from a public load balancer come "
        "by their NAT gateways' addresses. The AWS Load Balancer Controller keeps the others out from release 2.6 on. "
        "Left out: all.",
    )
    idle_timeout_seconds: int = Field(
        default=900,
        # service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout takes 1 to 4000.
        ge=1,
        le=4000,
        examples=[3600],
        json_schema_extra={
            "together": "be 350 or left out for a network load balancer, but for one of the AWS Load Balancer "
            "Controller with tls: none, where it must be at least 60"
        },
        description="How long a connection may be silent, 1 to 4000 seconds. A push is, while S3 puts the parts of a "
        "big layer together; a classic load balancer's own 60 cuts it off. A network one's are 350, fixed, but for "
        "that of the AWS Load Balancer Controller with tls: none.",
    )
    ssl_negotiation_policy: TlsPolicy | None = Field(
        default=None,
        examples=["ELBSecurityPolicy-TLS-1-2-2017-01"],
        json_schema_extra={"together": "be one of the load balancer's kind"},
        description="The protocols and ciphers that clients may use: a predefined security policy of classic or of "
        "network load balancers. Left out: ELBSecurityPolicy-TLS-1-2-2017-01, for a network load balancer "
        "ELBSecurityPolicy-TLS13-1-2-2021-06.",
    )
    annotations: dict[str, AnnotationValue] = Field(
        default={},
        examples=["10"],
        json_schema_extra={
            "together": f"{ANNOTATIONS_RULE}, and not contradict what the stack sets",
            "entry": "service.beta.kubernetes.io/aws-load-balancer-healthcheck-interval",
        },
        description="Further annotations of the Service, for what no setting names; entries of lists, such as "
        "attributes, come beside the stack's own. deletion_protection.enabled=true among these stops pulumi destroy "
        "and every replacement, too. Left out: none.",
    )

    @field_validator("type")
    @classmethod
    def _type_goes_without_a_class(cls, type_: str | None, info: ValidationInfo) -> str | None:
        if type_ and info.data.get("class_"):
            raise refused(
                TYPE_RULE,
                "take one of the two away: pulumi config rm --path loadBalancer.type, or loadBalancer.class",
            )
        return type_

    @field_validator("annotations")
    @classmethod
    def _annotations_are_annotations(cls, annotations: dict[str, str]) -> dict[str, str]:
        return judged_annotations(annotations)
