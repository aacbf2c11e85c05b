"""The functions that look up a thing which somebody made: a bucket, a key, an identity provider, a zone's records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.aws_plugin.errors import GoneError, PluginError, doing, gone_on
from sandbox.aws_plugin.s3 import WEBSITE_ZONES
from sandbox.aws_plugin.session import Aws
from sandbox.aws_plugin.shapes import tag_map, timestamp
from sandbox.aws_plugin.values import Properties


def get_bucket(aws: Aws, args: Properties) -> Properties:
    """`aws:s3/getBucket:getBucket`: a bucket by its name, whoever has it."""
    name, region = args["bucket"], args.get("region") or aws.region
    s3 = aws.client("s3", region)
    with doing(f"reading S3 Bucket ({name})", "S3"), absent(f"reading S3 Bucket ({name})", "404", "NoSuchBucket"):
        bucket_region = s3.head_bucket(Bucket=name)["BucketRegion"]
    return {
        "arn": f"arn:{aws.partition(bucket_region)}:s3:::{name}",
        "bucket": name,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegion": bucket_region,
        "bucketRegionalDomainName": f"{name}.s3.{bucket_region}.amazonaws.com",
        "hostedZoneId": WEBSITE_ZONES.get(bucket_region, ""),
        "id": name,
        "region": region,
        # of buckets that are websites, which the stand-in does not make
        "websiteDomain": "",
        "websiteEndpoint": "",
    }


def get_key(aws: Aws, args: Properties) -> Properties:
    """`aws:kms/getKey:getKey`: a KMS key by its id or ARN, or an alias."""
    key_id, region = args["keyId"], args.get("region") or aws.region
    request = {"GrantTokens": args["grantTokens"]} if args.get("grantTokens") else {}
    with doing(f"reading KMS Key ({key_id})", "KMS"), absent(f"reading KMS Key ({key_id})", "NotFoundException"):
        found = aws.client("kms", region).describe_key(KeyId=key_id, **request)["KeyMetadata"]
    deletion, valid_to = found.get("DeletionDate"), found.get("ValidTo")
    return {
        "arn": found["Arn"],
        "awsAccountId": found["AWSAccountId"],
        "cloudHsmClusterId": found.get("CloudHsmClusterId", ""),
        "creationDate": timestamp(found["CreationDate"]),
        "customKeyStoreId": found.get("CustomKeyStoreId", ""),
        "customerMasterKeySpec": found["CustomerMasterKeySpec"],
        "deletionDate": timestamp(deletion) if deletion else "",
        "description": found.get("Description", ""),
        "enabled": found["Enabled"],
        "expirationModel": found.get("ExpirationModel", ""),
        "grantTokens": args.get("grantTokens"),
        "id": found["KeyId"],
        "keyId": key_id,
        "keyManager": found["KeyManager"],
        "keySpec": found["KeySpec"],
        "keyState": found["KeyState"],
        "keyUsage": found.get("KeyUsage", "ENCRYPT_DECRYPT"),  # AWS's default, which moto does not tell
        "multiRegion": found.get("MultiRegion", False),
        "multiRegionConfigurations": [],
        "origin": found["Origin"],
        "pendingDeletionWindowInDays": found.get("PendingDeletionWindowInDays", 0),
        "region": region,
        "validTo": timestamp(valid_to) if valid_to else "",
        "xksKeyConfigurations": [],
    }


def get_records(aws: Aws, args: Properties) -> Properties:
    """`aws:route53/getRecords:getRecords`: the record sets of a zone, those whose names fit `nameRegex` if given."""
    zone = args["zoneId"]
    pages = aws.client("route53").get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
    with doing(f"listing Route 53 Records ({zone})", "Route 53"):
        found = [record for page in pages for record in page["ResourceRecordSets"]]
    wanted = re.compile(args.get("nameRegex") or "")
    return {
        "nameRegex": args.get("nameRegex"),
        "resourceRecordSets": [_record_set(record) for record in found if wanted.search(record["Name"])],
        "zoneId": zone,
    }


def get_open_id_connect_provider(aws: Aws, args: Properties) -> Properties:
    """`aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider`: a provider by its `arn` or by its issuer's `url`."""
    if bool(args.get("arn")) == bool(args.get("url")):
        raise PluginError(
            '"arn": only one of `arn,url` can be specified'
            if args.get("arn")
            else '"arn": one of `arn,url` must be specified'
        )
    iam, arn = aws.client("iam"), args.get("arn")
    if url := args.get("url"):
        what = f"finding IAM OIDC Provider by url ({url})"
        with doing(what, "IAM"):
            known = [one["Arn"] for one in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
        arn = next((one for one in known if one.partition("/")[2] == url.removeprefix("https://")), None)
        if not arn:
            raise PluginError(f"{what}: not found")
    with doing("reading IAM OIDC Provider", "IAM"):
        found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    return {
        "arn": arn,
        "clientIdLists": found["ClientIDList"],
        "id": arn,
        "tags": tag_map(found.get("Tags", [])),
        "thumbprintLists": found["ThumbprintList"],
        "url": found["Url"],  # without the scheme, as a trust policy's conditions have it
    }


@contextmanager
def absent(what: str, *codes: str) -> Iterator[None]:
    """Within, an AWS error with one of `codes` is PluginError in the real provider's words for what does not exist."""
    try:
        with gone_on(*codes):
            yield
    except GoneError:
        raise PluginError(f"{what}: couldn't find resource") from None


def _record_set(record: Properties) -> Properties:
    """Pulumi's form of a record set as Route 53 lists it."""
    alias = record.get("AliasTarget")
    return {
        "aliasTarget": alias
        and {
            "dnsName": alias["DNSName"],
            "evaluateTargetHealth": alias["EvaluateTargetHealth"],
            "hostedZoneId": alias["HostedZoneId"],
        },
        "failover": record.get("Failover"),
        "healthCheckId": record.get("HealthCheckId"),
        "multiValueAnswer": record.get("MultiValueAnswer"),
        "name": record["Name"],
        "region": record.get("Region"),
        "resourceRecords": [{"value": value["Value"]} for value in record.get("ResourceRecords", [])],
        "setIdentifier": record.get("SetIdentifier"),
        "ttl": record.get("TTL"),
        "type": record["Type"],
        "weight": record.get("Weight"),
    }
