"""The stand-in for pulumi-aws: what its functions tell of a thing that somebody made."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from sandbox.aws_plugin.errors import PluginError
from tests.sandbox.aws_plugin.driver import BUCKET, KEY, RECORD, Engine, PluginTest, unique

if TYPE_CHECKING:
    from tests.sandbox.aws.emulated_aws import EmulatedAws

GET_BUCKET = "aws:s3/getBucket:getBucket"
GET_KEY = "aws:kms/getKey:getKey"
GET_RECORDS = "aws:route53/getRecords:getRecords"


class TestLookups(PluginTest):
    def test_the_records_of_a_name_are_found_aliases_too(self, engine: Engine, domain: str, zone: str) -> None:
        balancer = {"name": "lb.us-east-1.elb.amazonaws.com", "zoneId": "Z35SXDOTRQ7X7K", "evaluateTargetHealth": False}
        engine.create(RECORD, zoneId=zone, name=f"found.{domain}", type="A", aliases=[balancer])
        engine.create(RECORD, zoneId=zone, name=f"found.{domain}", type="TXT", records=["x"], ttl=60)
        engine.create(RECORD, zoneId=zone, name=f"not-found.{domain}", type="A", records=["127.0.0.1"], ttl=60)
        found = engine.invoke(GET_RECORDS, zoneId=zone, nameRegex=rf"^found\.{domain}\.?$")["resourceRecordSets"]
        assert [record["name"] for record in found] == [f"found.{domain}."] * 2
        by_type = {record["type"]: record for record in found}
        assert by_type["A"]["aliasTarget"]["dnsName"].rstrip(".") == balancer["name"]
        assert (by_type["A"]["aliasTarget"]["hostedZoneId"], by_type["A"]["resourceRecords"]) == (
            balancer["zoneId"],
            [],
        )
        assert (by_type["TXT"].get("aliasTarget"), by_type["TXT"]["ttl"]) == (None, 60)
        assert len(engine.invoke(GET_RECORDS, zoneId=zone)["resourceRecordSets"]) > len(found)
        with pytest.raises(PluginError, match=r"^listing Route 53 Records \(Z0\): .*StatusCode: 404.*NoSuchHostedZone"):
            engine.invoke(GET_RECORDS, zoneId="Z0")

    def test_a_key_tells_its_state_and_usage(self, engine: Engine, aws: EmulatedAws) -> None:
        made = engine.create(KEY)
        found = engine.invoke(GET_KEY, keyId=made.state["arn"])
        assert (found["id"], found["keyId"]) == (made.id, made.state["arn"])
        assert (found["keyState"], found["keySpec"], found["keyUsage"]) == (
            "Enabled", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT",
        )  # fmt: skip
        aws.client("kms").disable_key(KeyId=made.id)
        assert engine.invoke(GET_KEY, keyId=made.state["arn"])["keyState"] == "Disabled"
        aws.client("kms").schedule_key_deletion(KeyId=made.id)
        found = engine.invoke(GET_KEY, keyId=made.id)
        assert (found["keyState"], found["enabled"], found["deletionDate"] > "2026") == ("PendingDeletion", False, True)
        plain = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
        assert engine.invoke(GET_KEY, keyId=plain)["keyUsage"] == "ENCRYPT_DECRYPT"
        gone = made.state["arn"].replace(made.id, str(uuid.uuid4()))
        with pytest.raises(PluginError, match=rf"^reading KMS Key \({gone}\): couldn't find resource"):
            engine.invoke(GET_KEY, keyId=gone)

    def test_a_bucket_is_found_by_its_name_and_is_in_its_own_region(self, engine: Engine) -> None:
        made = engine.create(BUCKET, region="eu-central-1")
        found = engine.invoke(GET_BUCKET, bucket=made.id)
        assert (found["id"], found["bucketRegion"], found["region"]) == (made.id, "eu-central-1", "us-east-1")
        assert found["bucketRegionalDomainName"] == made.state["bucketRegionalDomainName"]
        name = unique("no-bucket")
        with pytest.raises(PluginError, match=rf"^reading S3 Bucket \({name}\): couldn't find resource"):
            engine.invoke(GET_BUCKET, bucket=name)

    def test_what_one_may_not_look_up_is_denied_in_awss_words(
        self, aws: EmulatedAws, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = aws.new_user()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
        with pytest.raises(PluginError, match=rf"^reading S3 Bucket \({bucket}\): .*StatusCode: 403.*Forbidden"):
            Engine().invoke(GET_BUCKET, bucket=bucket)
