"""Names of AWS, with no network."""

from __future__ import annotations

import pytest

from sandbox.service_hosts import ServiceHost, service_host


@pytest.mark.parametrize(
    ("name", "region", "bucket", "endpoint"),
    [
        ("s3.us-east-1.amazonaws.com", "us-east-1", "", "s3.us-east-1.amazonaws.com"),
        ("images.s3.us-east-1.amazonaws.com", "us-east-1", "images", "s3.us-east-1.amazonaws.com"),
        ("a.b.s3.ap-southeast-2.amazonaws.com", "ap-southeast-2", "a.b", "s3.ap-southeast-2.amazonaws.com"),
        ("IMAGES.S3.us-gov-west-1.amazonaws.com.", "us-gov-west-1", "images", "s3.us-gov-west-1.amazonaws.com"),
        ("images.s3-eu-west-1.amazonaws.com", "eu-west-1", "images", "s3-eu-west-1.amazonaws.com"),
        ("images.s3.amazonaws.com", "", "images", "s3.amazonaws.com"),
    ],
)
def test_a_bucket_has_a_name_below_its_regions_and_a_wildcard_covers_it(
    name: str, region: str, bucket: str, endpoint: str
) -> None:
    assert service_host(name) == ServiceHost("s3", region, (endpoint, f"*.{endpoint}"), bucket)


@pytest.mark.parametrize(
    ("name", "service", "region"),
    [
        ("sts.eu-central-1.amazonaws.com", "sts", "eu-central-1"),
        ("sts.amazonaws.com", "sts", "us-east-1"),
        ("iam.amazonaws.com", "iam", "us-east-1"),
    ],
)
def test_other_services_have_a_certificate_for_their_name(name: str, service: str, region: str) -> None:
    assert service_host(name) == ServiceHost(service, region, (name,))


@pytest.mark.parametrize(
    "name",
    [
        "a1b2-123.us-east-1.elb.amazonaws.com",
        "internal-a1b2-123.us-east-1.elb.amazonaws.com",
        "a1b2-0f.elb.us-east-1.amazonaws.com",
        "amazonaws.com",
        "s3.us-east-1.amazonaws.com.cn",
        "s3.us-east-1.amazonaws.com.kube-system.svc.cluster.local",
        "notamazonaws.com",
        "registry.sandbox.test",
    ],
)
def test_load_balancers_and_what_is_not_of_aws_are_no_services(name: str) -> None:
    assert service_host(name) is None
