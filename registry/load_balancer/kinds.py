"""The kinds of load balancers, by who makes them: what each can do."""

from __future__ import annotations

from enum import Enum

CONTROLLER_CLASS = "service.k8s.aws/nlb"
"""The AWS Load Balancer Controller's:
kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/nlb/"""
AUTO_MODE_CLASS = "eks.amazonaws.com/nlb"
"""EKS Auto Mode's: docs.aws.amazon.com/eks/latest/userguide/auto-configure-nlb.html"""


class Kind(Enum):
    """A load balancer and its maker; the value is what a person calls it, as in "a ..."."""

    CLASSIC = "classic load balancer of the cluster's cloud controller"
    NETWORK = "network load balancer of the cluster's cloud controller"
    CONTROLLER = "network load balancer of the AWS Load Balancer Controller"
    AUTO_MODE = "network load balancer of EKS Auto Mode"

    @property
    def service_class(self) -> str | None:
        """What the Service has as `loadBalancerClass`. The cloud controller takes no Service that has one."""
        return {Kind.CONTROLLER: CONTROLLER_CLASS, Kind.AUTO_MODE: AUTO_MODE_CLASS}.get(self)

    @property
    def is_network(self) -> bool:
        """Whether it forwards connections, rather than requests."""
        return self is not Kind.CLASSIC

    @classmethod
    def of_class(cls, service_class: str) -> Kind | None:
        """The kind that Services of a class get, if it is one that the stack knows."""
        return next((kind for kind in cls if kind.service_class == service_class), None)
