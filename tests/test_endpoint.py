"""How clients reach the registry by its name."""

from __future__ import annotations

from tests.mock_engine import Deploy


def test_the_service_is_the_posts(deploy: Deploy) -> None:
    service = deploy().one("Service")
    assert service["metadata"] == {
        "name": "kube-registry",
        "namespace": "kube-system",
        "labels": {
            "k8s-app": "kube-registry",
            "kubernetes.io/cluster-service": "true",
            "kubernetes.io/name": "KubeRegistry",
        },
    }
    assert service["spec"] == {
        "type": "LoadBalancer",
        "selector": {"k8s-app": "kube-registry"},
        "ports": [{"name": "registry", "port": 80, "targetPort": 5000, "protocol": "TCP"}],
    }


def test_the_alias_points_at_the_load_balancer_with_the_load_balancers_own_zone(deploy: Deploy) -> None:
    assert deploy().one("Record") == {
        "zoneId": "zone of example.com",
        "name": "registry.example.com",
        "type": "A",
        "aliases": [
            {
                "name": "a1b2.us-east-1.elb.amazonaws.com",
                "zoneId": "zone of classic load balancers",
                "evaluateTargetHealth": False,
            }
        ],
    }


def test_the_zone_is_looked_up_where_the_settings_say(deploy: Deploy) -> None:
    lookups = deploy(hostname="registry.team.example.com", zone="example.com", privateZone=True).engine.calls
    assert ("aws:route53/getZone:getZone", {"name": "example.com", "privateZone": True}) in lookups
