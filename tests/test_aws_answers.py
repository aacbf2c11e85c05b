"""What the provider's errors mean."""

from __future__ import annotations

import pytest

from registry.aws_answers import Failure, failure

PREFIX = "invoke of {0} failed: invocation of {0} returned an error: 1 error occurred:\n\t* "
"""How Pulumi passes an error of the provider on."""
RESPONSE = "https response error StatusCode: {}, RequestID: 4ZX, "


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("no matching Route 53 Hosted Zone found", "missing"),
        (
            "multiple Route 53 Hosted Zones matched; use additional constraints to reduce matches to a single "
            "Route 53 Hosted Zone",
            "several",
        ),
        (
            "listing Route 53 Records (Z1): operation error Route 53: ListResourceRecordSets, "
            + RESPONSE.format(404)
            + "NoSuchHostedZone: No hosted zone found with ID: Z1",
            "missing",
        ),
        (
            "listing Route 53 Records (Z1): operation error Route 53: ListResourceRecordSets, "
            + RESPONSE.format(403)
            + "api error AccessDenied: User: arn:aws:iam::1:user/a is not authorized to perform: route53:Get",
            "denied",
        ),
        ("reading KMS Key (arn:aws:kms:us-east-1:1:key/2): couldn't find resource", "missing"),
        ("finding IAM OIDC Provider by url (https://oidc.example.com): not found", "missing"),
        (
            "reading KMS Key (arn): operation error KMS: DescribeKey, "
            + RESPONSE.format(400)
            + "NotFoundException: Key 'arn' does not exist",
            "missing",
        ),
        (
            "reading KMS Key (arn): operation error KMS: DescribeKey, "
            + RESPONSE.format(400)
            + "api error AccessDeniedException: User is not authorized to perform: kms:DescribeKey",
            "denied",
        ),
        ("reading S3 Bucket (images): couldn't find resource", "missing"),
        (
            "reading S3 Bucket (images): operation error S3: HeadBucket, "
            + RESPONSE.format(403)
            + "HostID: x, api error Forbidden: Forbidden",
            "denied",
        ),
        (
            "reading S3 Bucket (images): operation error S3: HeadBucket, "
            + RESPONSE.format(301)
            + "HostID: x, api error MovedPermanently: Moved Permanently",
            "elsewhere",
        ),
        (
            "reading Route 53 Hosted Zones: operation error Route 53: ListHostedZones, "
            + RESPONSE.format(403)
            + "api error ExpiredToken: The security token included in the request is expired",
            "failed",
        ),
        ("operation error Route 53: ListHostedZones, exceeded maximum number of attempts, 25", "failed"),
    ],
)
def test_an_error_is_known_by_the_words_of_the_provider(said: str, kind: str) -> None:
    assert failure(PREFIX.format("aws:x/getY:getY") + said + "\n\n") == Failure(kind, said)  # type: ignore[arg-type]
