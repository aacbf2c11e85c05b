"""The stand-in for pulumi-aws: how each service's resources behave as the real provider's do."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.aws_plugin.errors import PluginError
from sandbox.aws_plugin.iam import ses_smtp_password
from sandbox.aws_plugin.policies import canonical
from sandbox.aws_plugin.values import plain, secret_names
from tests.sandbox.aws_plugin.driver import (
    ACCESS_KEY,
    BUCKET,
    BUCKET_POLICY,
    CERTIFICATE,
    POLICY,
    RECORD,
    ROLE,
    ROLE_POLICY,
    TRUST,
    USER,
    VALIDATION,
    VERSIONING,
    Engine,
    Made,
    PluginTest,
    canonical_policy,
    unique,
)
from tests.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.sandbox.aws.emulated_aws import EmulatedAws


def put_object(aws: EmulatedAws, bucket: str, key: str = "k") -> None:
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"x")


class TestBucket(PluginTest):
    def test_with_objects_is_not_deleted_and_aws_says_why(self, engine: Engine, aws: EmulatedAws) -> None:
        made = engine.create(BUCKET)
        put_object(aws, made.id)
        with pytest.raises(PluginError) as error:
            engine.delete(made)
        message = str(error.value)
        assert message.startswith(f"deleting S3 Bucket ({made.id}): operation error S3: DeleteBucket, ")
        assert "https response error StatusCode: 409, " in message
        assert "api error BucketNotEmpty: The bucket you tried to delete is not empty" in message
        assert aws.client("s3").list_objects_v2(Bucket=made.id)["KeyCount"] == 1

    def test_with_force_destroy_goes_with_all_versions_markers_and_uploads(
        self, engine: Engine, aws: EmulatedAws
    ) -> None:
        made = engine.create(BUCKET, forceDestroy=True)
        s3 = aws.client("s3")
        s3.put_bucket_versioning(Bucket=made.id, VersioningConfiguration={"Status": "Enabled"})
        for _ in range(3):
            put_object(aws, made.id)
        s3.delete_object(Bucket=made.id, Key="k")
        s3.create_multipart_upload(Bucket=made.id, Key="upload")
        engine.delete(made)
        assert engine.read(made) is None

    def test_with_force_destroy_goes_with_more_objects_than_a_list_has_on_a_page(
        self, engine: Engine, aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
        made = engine.create(BUCKET, forceDestroy=True)
        for key in "abcde":
            put_object(aws, made.id, key)
        engine.delete(made)
        assert engine.read(made) is None

    def test_force_destroy_counts_once_it_was_applied(self, engine: Engine, aws: EmulatedAws) -> None:
        made = engine.create(BUCKET)
        put_object(aws, made.id)
        engine.delete(engine.update(made, forceDestroy=True))
        assert engine.read(made) is None

    def test_of_another_region_is_made_and_read_there(self, engine: Engine, aws: EmulatedAws) -> None:
        made = engine.create(BUCKET, region="eu-central-1")
        assert aws.client("s3").get_bucket_location(Bucket=made.id)["LocationConstraint"] == "eu-central-1"
        assert made.state["region"] == made.state["bucketRegion"] == "eu-central-1"
        assert made.state["bucketRegionalDomainName"] == f"{made.id}.s3.eu-central-1.amazonaws.com"
        assert made.state["hostedZoneId"] == "Z21DNDUVLTQW6Q"
        assert not engine.diff(made, region="eu-central-1").changes
        assert engine.diff(made).replaces == ["region"]

    def test_default_tags_are_put_on_it_and_are_not_its_own(self, aws: EmulatedAws) -> None:
        engine = Engine(defaultTags='{"tags": {"team": "platform"}}')
        made = engine.create(BUCKET, tags={"a": "b"})
        tags = aws.client("s3").get_bucket_tagging(Bucket=made.id)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "platform", "a": "b"}
        assert made.state["tags"] == {"a": "b"}
        assert made.state["tagsAll"] == {"team": "platform", "a": "b"}
        assert not engine.diff(made, tags={"a": "b"}).changes
        assert Engine().diff(made, tags={"a": "b"}).diffs == ["tagsAll"]

    def test_a_tag_that_someone_else_changed_is_seen_after_a_refresh(self, engine: Engine, aws: EmulatedAws) -> None:
        made = engine.create(BUCKET, tags={"a": "b"})
        tags = {"TagSet": [{"Key": "a", "Value": "drifted"}]}
        aws.client("s3").put_bucket_tagging(Bucket=made.id, Tagging=tags)
        refreshed = engine.read(made)
        assert refreshed is not None
        assert plain(refreshed.inputs["tags"]) == {"a": "drifted"}
        assert engine.diff(refreshed, tags={"a": "b"}).diffs == ["tags"]
        repaired = engine.update(refreshed, tags={"a": "b"})
        assert repaired.state == made.state


class TestPolicies(PluginTest):
    @pytest.mark.parametrize(
        "other",
        [
            '{"Statement": [{"Resource": ["*"], "Action": ["s3:GetObject", "s3:PutObject"], "Effect": "Deny",'
            ' "Principal": {"AWS": "*"}}], "Version": "2012-10-17"}',
            '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":["s3:PutObject",'
            '"s3:GetObject"],"Resource":"*"}}',
        ],
    )
    def test_that_differ_in_form_only_are_no_change(self, engine: Engine, bucket: str, other: str) -> None:
        made = engine.create(BUCKET_POLICY, bucket=bucket, policy=canonical_policy("*"))
        assert not engine.diff(made, bucket=bucket, policy=other).changes

    @pytest.mark.parametrize(("old", "new"), [("Deny", "Allow"), ("s3:PutObject", "s3:*"), ('"*"', '"arn:aws:s3:::x"')])
    def test_that_mean_something_else_are_a_change(self, engine: Engine, bucket: str, old: str, new: str) -> None:
        made = engine.create(BUCKET_POLICY, bucket=bucket, policy=canonical_policy("*"))
        changed = canonical_policy("*").replace(old, new)
        assert engine.diff(made, bucket=bucket, policy=changed).diffs == ["policy"]

    def test_given_as_objects_become_json(self, engine: Engine, bucket: str) -> None:
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}],
        }
        made = engine.create(BUCKET_POLICY, bucket=bucket, policy=policy)
        assert json.loads(made.state["policy"]) == policy

    def test_conditions_are_compared_as_sets(self) -> None:
        one = '{"Statement": {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}}'
        other = '{"Statement": [{"Condition": {"Bool": {"aws:SecureTransport": ["false"]}}}]}'
        assert canonical(one) == canonical(other)
        assert canonical(one) != canonical(other.replace("false", "true"))


class TestIam(PluginTest):
    def test_an_access_keys_secret_is_secret_and_works(self, engine: Engine, aws: EmulatedAws, user: str) -> None:
        made = engine.create(ACCESS_KEY, user=user)
        assert secret_names(made.outputs) == {"secret", "sesSmtpPasswordV4"}
        key = aws.administrator.__class__(user, made.id, made.state["secret"])
        assert aws.client("sts", key).get_caller_identity()["Arn"].endswith(f":user/{user}")
        refreshed = engine.read(made)
        assert refreshed is not None
        assert refreshed.outputs == made.outputs

    def test_an_inactive_access_key_is_made_inactive(self, engine: Engine, aws: EmulatedAws, user: str) -> None:
        made = engine.create(ACCESS_KEY, user=user, status="Inactive")
        keys = aws.client("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
        assert [(key["AccessKeyId"], key["Status"]) for key in keys] == [(made.id, "Inactive")]

    def test_ses_passwords_are_those_of_the_published_algorithm(self) -> None:
        # Known to authenticate: the Terraform AWS provider's test of the same output.
        assert ses_smtp_password("some+secret+key", "eu-central-1") == "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"

    def test_a_user_with_keys_is_not_deleted_and_aws_says_why(self, engine: Engine, aws: EmulatedAws) -> None:
        made = engine.create(USER)
        aws.client("iam").create_access_key(UserName=made.id)
        with pytest.raises(
            PluginError, match=rf"deleting IAM User \({made.id}\): .* 409, .* api error DeleteConflict: "
        ):
            engine.delete(made)

    def test_with_force_destroy_a_user_goes_with_its_keys_and_password(self, engine: Engine, aws: EmulatedAws) -> None:
        made = engine.create(USER, forceDestroy=True)
        iam = aws.client("iam")
        iam.create_access_key(UserName=made.id)
        iam.create_login_profile(UserName=made.id, Password="Correct-Horse-1")
        engine.delete(made)
        assert engine.read(made) is None

    def test_a_user_that_gets_another_name_is_renamed(self, engine: Engine, aws: EmulatedAws) -> None:
        made = engine.create(USER, name=unique("user"))
        renamed = engine.update(made, name=unique("renamed"))
        assert renamed.state["uniqueId"] == made.state["uniqueId"]
        refreshed = engine.read(renamed)
        assert refreshed is not None
        assert refreshed.state == renamed.state
        engine.delete(renamed)
        assert engine.read(renamed) is None

    def test_a_user_that_gets_another_path_stays_the_same_user(self, engine: Engine) -> None:
        made = engine.create(USER, path="/x/")
        moved = engine.update(made)
        assert moved.state["uniqueId"] == made.state["uniqueId"]
        assert moved.state["arn"] == made.state["arn"].replace("user/x/", "user/")

    def test_a_role_policy_is_put_and_deleted(self, engine: Engine) -> None:
        role = engine.create(ROLE, assumeRolePolicy=TRUST)
        made = engine.create(ROLE_POLICY, role=role.state["name"], policy=POLICY)
        assert made.id == f"{role.id}:{made.state['name']}"
        assert not engine.diff(made, role=role.id, policy=POLICY).changes
        engine.delete(made)
        assert engine.read(made) is None


def names(aws: EmulatedAws, zone: str) -> dict[tuple[str, str], dict[str, Any]]:
    records = aws.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {(record["Name"], record["Type"]): record for record in records}


class TestRecord(PluginTest):
    def test_has_the_real_providers_id_and_full_name(
        self, engine: Engine, aws: EmulatedAws, zone: str, domain: str
    ) -> None:
        made = engine.create(RECORD, zoneId=zone, name="Short", type="TXT", records=["v=1; x"], ttl=5)
        assert made.id == f"{zone}_short_TXT"
        assert made.state["fqdn"] == f"short.{domain}"
        found = names(aws, zone)[f"short.{domain}.", "TXT"]
        assert found["ResourceRecords"] == [{"Value": '"v=1; x"'}]

    def test_of_a_wildcard_is_found_again(self, engine: Engine, zone: str, domain: str) -> None:
        made = engine.create(RECORD, zoneId=zone, name=f"*.w.{domain}", type="A", records=["10.0.0.1"], ttl=5)
        assert made.state["fqdn"] == f"*.w.{domain}"

    def test_that_exists_is_not_overwritten_unless_allowed(
        self, engine: Engine, aws: EmulatedAws, zone: str, domain: str
    ) -> None:
        inputs: dict[str, Any] = {"zoneId": zone, "name": f"taken.{domain}", "type": "A", "ttl": 5}
        engine.create(RECORD, **inputs, records=["10.0.0.1"])
        with pytest.raises(PluginError, match=r"api error InvalidChangeBatch: .*already exists"):
            engine.create(RECORD, **inputs, records=["10.0.0.1"])
        engine.create(RECORD, **inputs, records=["10.0.0.1"], allowOverwrite=True)
        assert names(aws, zone)[f"taken.{domain}.", "A"]["ResourceRecords"] == [{"Value": "10.0.0.1"}]

    def test_that_changes_its_type_is_changed_in_one_batch(
        self, engine: Engine, aws: EmulatedAws, zone: str, domain: str
    ) -> None:
        inputs: dict[str, Any] = {"zoneId": zone, "name": f"typed.{domain}", "ttl": 5}
        made = engine.create(RECORD, **inputs, type="A", records=["10.0.0.1"])
        engine.update(made, **inputs, type="CNAME", records=["elsewhere.test"])
        found = [kind for name, kind in names(aws, zone) if name == f"typed.{domain}."]
        assert found == ["CNAME"]

    def test_from_an_alias_to_plain_is_an_update(self, engine: Engine, zone: str, domain: str) -> None:
        inputs: dict[str, Any] = {"zoneId": zone, "name": f"was-alias.{domain}", "type": "A"}
        alias = {"name": "lb.us-east-1.elb.amazonaws.com", "zoneId": "Z35SXDOTRQ7X7K", "evaluateTargetHealth": True}
        made = engine.create(RECORD, **inputs, aliases=[alias])
        plain_one = engine.update(made, **inputs, records=["10.0.0.9"], ttl=5)
        assert "aliases" not in plain_one.state
        assert plain_one.state["records"] == ["10.0.0.9"]

    def test_the_consoles_dualstack_prefix_is_no_change(self, engine: Engine, zone: str, domain: str) -> None:
        inputs: dict[str, Any] = {"zoneId": zone, "name": f"dual.{domain}", "type": "A"}
        alias = {"name": "lb.us-east-1.elb.amazonaws.com", "zoneId": "Z35SXDOTRQ7X7K", "evaluateTargetHealth": True}
        made = engine.create(RECORD, **inputs, aliases=[alias])
        dual = {**alias, "name": "dualstack.LB.us-east-1.elb.amazonaws.com."}
        assert not engine.diff(made, **inputs, aliases=[dual]).changes

    def test_of_a_zone_that_is_gone_is_gone(self, engine: Engine, aws: EmulatedAws) -> None:
        route53 = aws.client("route53")
        zone = route53.create_hosted_zone(Name="gone.test", CallerReference=unique())["HostedZone"]["Id"]
        made = engine.create(RECORD, zoneId=zone, name="a.gone.test", type="A", records=["10.0.0.1"], ttl=5)
        change = {"Action": "DELETE", "ResourceRecordSet": names(aws, zone)["a.gone.test.", "A"]}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})
        route53.delete_hosted_zone(Id=zone)
        assert engine.read(made) is None
        engine.delete(made)


def prove(engine: Engine, certificate: Made, zone: str) -> Made:
    """Make the record that proves the first domain of `certificate`."""
    option = certificate.state["domainValidationOptions"][0]
    return engine.create(
        RECORD,
        zoneId=zone,
        name=option["resourceRecordName"],
        type=option["resourceRecordType"],
        records=[option["resourceRecordValue"]],
        ttl=60,
        allowOverwrite=True,
    )


class TestCertificates(PluginTest):
    def test_a_certificate_tells_how_to_prove_each_domain(self, engine: Engine, domain: str) -> None:
        made = engine.create(
            CERTIFICATE, domainName=domain, validationMethod="DNS", subjectAlternativeNames=[f"b.{domain}"]
        )
        options = made.state["domainValidationOptions"]
        assert [option["domainName"] for option in options] == [domain, f"b.{domain}"]
        assert {option["resourceRecordType"] for option in options} == {"CNAME"}
        assert all(option["resourceRecordName"].endswith(f"{option['domainName']}.") for option in options)

    def test_a_validation_waits_until_the_certificate_is_issued(
        self, engine: Engine, aws: EmulatedAws, zone: str, domain: str
    ) -> None:
        certificate = engine.create(CERTIFICATE, domainName=domain, validationMethod="DNS")
        assert certificate.state["status"] == "PENDING_VALIDATION"
        record = prove(engine, certificate, zone)
        inputs = {"certificateArn": certificate.id, "validationRecordFqdns": [record.state["fqdn"]]}
        made = engine.create(VALIDATION, **inputs)
        assert datetime.strptime(made.id, "%Y-%m-%d %H:%M:%S +0000 UTC")
        assert made.state["certificateArn"] == certificate.id
        assert (
            aws.client("acm").describe_certificate(CertificateArn=certificate.id)["Certificate"]["Status"] == "ISSUED"
        )
        assert not engine.diff(made, **inputs).changes
        refreshed = engine.read(made)
        assert refreshed is not None
        assert (refreshed.inputs, refreshed.outputs) == (made.inputs, made.outputs)
        assert engine.diff(made, **{**inputs, "certificateArn": "arn:other"}).replaces == ["certificateArn"]
        engine.delete(made)
        engine.delete(certificate)
        assert engine.read(made) is None

    def test_a_certificate_in_use_is_deleted_once_its_balancer_is(
        self, engine: Engine, aws: EmulatedAws, zone: str, domain: str
    ) -> None:
        certificate = engine.create(CERTIFICATE, domainName=domain, validationMethod="DNS")
        prove(engine, certificate, zone)
        engine.create(VALIDATION, certificateArn=certificate.id)
        elb, name = aws.client("elb"), unique("lb")
        listener = {"Protocol": "SSL", "LoadBalancerPort": 443, "InstancePort": 80, "SSLCertificateId": certificate.id}
        elb.create_load_balancer(LoadBalancerName=name, Listeners=[listener], AvailabilityZones=["us-east-1a"])
        threading.Timer(0.2, lambda: elb.delete_load_balancer(LoadBalancerName=name)).start()
        engine.delete(certificate)
        assert engine.read(certificate) is None

    def test_a_validation_names_the_record_that_is_missing(self, engine: Engine, domain: str) -> None:
        certificate = engine.create(CERTIFICATE, domainName=domain, validationMethod="DNS")
        record = certificate.state["domainValidationOptions"][0]["resourceRecordName"].removesuffix(".")
        with pytest.raises(PluginError, match=f"missing {domain} DNS validation record: {record}"):
            engine.create(VALIDATION, certificateArn=certificate.id, validationRecordFqdns=["x.test"])

    def test_a_validation_gives_up_at_its_deadline_and_says_what_to_do(self, engine: Engine, domain: str) -> None:
        certificate = engine.create(CERTIFICATE, domainName=f"unproven.{domain}", validationMethod="DNS")
        record = certificate.state["domainValidationOptions"][0]["resourceRecordName"]
        with pytest.raises(PluginError, match=f"PENDING_VALIDATION after 0.1 s; make sure that .* {record} CNAME"):
            engine.create(VALIDATION, timeout=0.1, certificateArn=certificate.id)

    def test_a_cancelled_update_does_not_wait_on(self, domain: str) -> None:
        engine = Engine()
        certificate = engine.create(CERTIFICATE, domainName=f"cancelled.{domain}", validationMethod="DNS")
        threading.Timer(0.2, lambda: asyncio.run(engine.provider.cancel())).start()
        before = time.monotonic()
        with pytest.raises(PluginError, match="cancelled while waiting"):
            engine.create(VALIDATION, certificateArn=certificate.id)
        assert time.monotonic() - before < PATIENCE_SECONDS

    def test_a_validation_of_no_certificate_fails_at_once(self, engine: Engine) -> None:
        arn = f"arn:aws:acm:us-east-1:123456789012:certificate/{uuid.uuid4()}"
        with pytest.raises(PluginError, match="couldn't find resource"):
            engine.create(VALIDATION, certificateArn=arn)


class TestVersioning(PluginTest):
    def test_that_was_never_on_stays_so_when_deleted(self, engine: Engine, aws: EmulatedAws, bucket: str) -> None:
        made = engine.create(VERSIONING, bucket=bucket, versioningConfiguration={"status": "Disabled"})
        engine.delete(made)
        assert "Status" not in aws.client("s3").get_bucket_versioning(Bucket=bucket)

    def test_that_was_once_on_is_taken_over_as_it_is(self, engine: Engine, aws: EmulatedAws, bucket: str) -> None:
        suspended = {"Status": "Suspended"}
        aws.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration=suspended)
        made = engine.create(VERSIONING, bucket=bucket, versioningConfiguration={"status": "Disabled"})
        assert made.state["versioningConfiguration"]["status"] == "Suspended"

    def test_that_is_on_can_not_be_disabled(self, engine: Engine, bucket: str) -> None:
        made = engine.create(VERSIONING, bucket=bucket, versioningConfiguration={"status": "Enabled"})
        with pytest.raises(PluginError, match="set it to 'Suspended'"):
            engine.update(made, bucket=bucket, versioningConfiguration={"status": "Disabled"})
