"""AWS as it is found: asked by the provider's own reads, before anything is registered, and told as plain data."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TypeVar

import pulumi
import pulumi_aws as aws
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import get_monitor

from registry.aws_answers import EksCluster, Failure, Key, OidcProvider, Record, failure

T = TypeVar("T")


def region() -> str | Failure:
    """The provider's region. It asks nothing of AWS."""
    return _ask(lambda: aws.get_region().region)


def account() -> str | Failure:
    """The id of the account that the provider's credentials are of: sts:GetCallerIdentity, which everyone may."""
    return _ask(lambda: aws.get_caller_identity().account_id)


def load_balancer_zone_id() -> str | Failure:
    """The hosted zone in which classic load balancers of the provider's region have their names, as all regions have
    one. It asks nothing of AWS: the provider has them in a table."""
    return _ask(lambda: aws.elb.get_hosted_zone_id().id)


def zone_id(name: str, *, private: bool, provider: aws.Provider | None) -> str | Failure:
    """The id of the one public or private hosted zone of the name: route53:ListHostedZones, :GetHostedZone,
    :ListTagsForResource. `provider`: the zone's, None for the stack's own."""
    by = pulumi.InvokeOptions(provider=provider)
    return _ask(lambda: aws.route53.get_zone(name=name, private_zone=private, opts=by).zone_id)


def records(zone: str, hostname: str, *, provider: aws.Provider | None) -> list[Record] | Failure:
    """The record sets of the name in the zone: route53:ListResourceRecordSets. `provider`: as of `zone_id`."""
    by = pulumi.InvokeOptions(provider=provider)
    # The provider lists the whole zone, and keeps what fits the regular expression.
    pattern = rf"^{re.escape(hostname)}\.?$"
    found = _ask(lambda: aws.route53.get_records(zone_id=zone, name_regex=pattern, opts=by).resource_record_sets)
    if isinstance(found, Failure):
        return found
    return [
        Record(
            one.type,
            one.alias_target.dns_name.rstrip(".") if one.alias_target else None,
            [record.value for record in one.resource_records or []],
        )
        for one in found or []
    ]


def eks_cluster(name: str) -> EksCluster | Failure:
    """The EKS cluster of the name, in the provider's region: eks:DescribeCluster."""
    found = _ask(lambda: aws.eks.get_cluster(name=name))
    if isinstance(found, Failure):
        return found
    issuers = [oidc.issuer for identity in found.identities for oidc in identity.oidcs]
    families = [network.ip_family for network in found.kubernetes_network_configs]
    return EksCluster(found.arn, issuers[0] if issuers else "", "ipv6" if "ipv6" in families else "ipv4")


def oidc_provider(*, arn: str | None = None, issuer: str | None = None) -> OidcProvider | Failure:
    """IAM's OIDC provider, by its ARN or by the issuer's URL: iam:GetOpenIDConnectProvider,
    :ListOpenIDConnectProviderTags, and by the URL :ListOpenIDConnectProviders."""
    found = _ask(lambda: aws.iam.get_open_id_connect_provider(arn=arn, url=issuer))
    return found if isinstance(found, Failure) else OidcProvider(found.arn, found.client_id_lists)


def key(arn: str) -> Key | Failure:
    """What KMS tells of the key: kms:DescribeKey."""
    found = _ask(lambda: aws.kms.get_key(key_id=arn))
    return found if isinstance(found, Failure) else Key(found.key_state, found.key_spec, found.key_usage)


def bucket_region(name: str) -> str | Failure:
    """The region of the bucket, whoever has it: s3:ListBucket, which S3 asks for at HeadBucket."""
    return _ask(lambda: aws.s3.get_bucket(bucket=name).bucket_region)


def certificate_status(arn: str, name: str) -> str:
    """What ACM calls the certificate's status, `ISSUED` or another: acm:DescribeCertificate, :ListTagsForCertificate.

    No function of the provider takes a certificate's ARN: `getCertificate` looks for certificates by their names, and
    tells one of them. So it is read as a resource `name`, which the stack's state keeps and does not manage. If that
    fails, as there is no such certificate, the engine tells it with the name and the ARN, and ends the program here.
    """
    request = resource_pb2.ReadResourceRequest(
        type="aws:acm/certificate:Certificate",
        name=name,
        id=arn,
        version=version("pulumi-aws"),  # of the provider that everything else uses
        acceptSecrets=True,
        acceptResources=True,
    )
    monitor: Any = get_monitor()
    return dict(monitor.ReadResource(request).properties)["status"]


def _ask(question: Callable[[], T]) -> T | Failure:
    try:
        return question()
    except Exception as error:  # the SDK raises nothing narrower
        return failure(str(error))
