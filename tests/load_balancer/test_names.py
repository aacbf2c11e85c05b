"""What a load balancer's DNS name tells."""

from __future__ import annotations

import pytest

from registry.load_balancer.names import Name, UnknownNameError, read


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("a0b1-123456789.us-east-1.elb.amazonaws.com", Name(is_network=False, region="us-east-1")),
        ("internal-a0b1-123456789.eu-central-1.elb.amazonaws.com", Name(is_network=False, region="eu-central-1")),
        ("k8s-a-b-0123-0123456789abcdef.elb.us-east-1.amazonaws.com", Name(is_network=True, region="us-east-1")),
        ("K8S-a-b.elb.us-gov-west-1.amazonaws.com", Name(is_network=True, region="us-gov-west-1")),
        ("a.elb.cn-north-1.amazonaws.com.cn", Name(is_network=True, region="cn-north-1")),
        ("a-1.cn-north-1.elb.amazonaws.com.cn", Name(is_network=False, region="cn-north-1")),
    ],
)
def test_a_name_tells_kind_and_region(hostname: str, name: Name) -> None:
    assert read(hostname) == name


@pytest.mark.parametrize(
    "hostname", ["registry.example.com", "elb.amazonaws.com", "a.elb.us-east-1.amazonaws.com.evil"]
)
def test_a_name_that_is_none_of_aws_is_told_with_the_remedy(hostname: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"is called {hostname}, which is no name(.|\n)*loadBalancer.class or"):
        read(hostname)


def test_a_load_balancer_without_a_name_is_none_of_aws() -> None:
    with pytest.raises(UnknownNameError, match="is called by an address only"):
        read(None)
