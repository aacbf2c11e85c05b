"""The stand-in for pulumi-aws: providers that assume roles, in another account."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from moto.sts.models import sts_backends
from pulumi.provider.experimental import provider as protocol

from sandbox.aws_plugin.errors import PluginError
from sandbox.aws_plugin.provider import AwsProvider
from sandbox.aws_plugin.values import UNKNOWN, wrap_map
from tests.end_to_end.zone_account import ZoneAccount, administrator_session, make_zone_account
from tests.sandbox.aws_plugin.driver import BUCKET, RECORD, Engine, PluginTest, run, unique

if TYPE_CHECKING:
    from tests.sandbox.aws.emulated_aws import EmulatedAws

GET_ZONE, GET_RECORDS = "aws:route53/getZone:getZone", "aws:route53/getRecords:getRecords"
GET_CALLER_IDENTITY = "aws:index/getCallerIdentity:getCallerIdentity"
ACCOUNT = "123456789012"
"""The sandbox's own."""


def refusals(assume_roles: Any, *, skip: bool = True) -> list[tuple[str, str]]:
    """What the provider says of a configuration that it refuses, path and reason, without asking STS if told to."""
    inputs = wrap_map({"region": "us-east-1", "assumeRoles": assume_roles, "skipCredentialsValidation": skip})
    request = protocol.CheckRequest("urn:pulumi:s::p::pulumi:providers:aws::x", {}, inputs, b"")
    response = run(AwsProvider().check_config(request))
    return [(failure.property, failure.reason) for failure in response.failures or []]


def test_the_configuration_is_a_list_of_roles_as_a_value_or_as_json() -> None:
    roles = [{"roleArn": "arn:aws:iam::1:role/x", "sessionName": "s", "externalId": "e", "duration": "1h30m"}]
    snake_case = [{"role_arn": "arn:aws:iam::1:role/x", "session_name": "s"}]  # as Python's SDK passes a dict
    for right in (roles, snake_case, [], None, UNKNOWN, [{"roleArn": "x", "policy": None}]):
        given = right if right is None or right is UNKNOWN else json.dumps(right)
        assert (refusals(right), refusals(given)) == ([], [])


@pytest.mark.parametrize(
    ("roles", "path", "reason"),
    [
        ([{"sessionName": "s"}], "assumeRoles[0].roleArn", "is required: the ARN of an IAM role"),
        ([{"roleArn": "x", "policy": "{}"}], "assumeRoles[0].policy", "does not implement it; it takes duration, ex"),
        ([{"roleArn": "x"}, {"roleArn": "y", "duration": "14m"}], "assumeRoles[1].duration", "from 15m to 12h"),
        ([{"roleArn": "x", "duration": "900"}], "assumeRoles[0].duration", "such as 1h30m, not '900'"),
        ([{"roleArn": "x", "duration": "13h"}], "assumeRoles[0].duration", "from 15m to 12h"),
        ({"roleArn": "x"}, "assumeRoles", "must be a list of objects"),
    ],
)
def test_what_the_configuration_gets_wrong_is_refused(roles: Any, path: str, reason: str) -> None:
    ((refused, text),) = refusals(roles)
    assert refused == path
    assert reason in text


class TestAssumedRole(PluginTest):
    @pytest.fixture(scope="class")
    @classmethod
    def other(cls, aws: EmulatedAws) -> ZoneAccount:
        return new_account(aws)

    @pytest.fixture(scope="class")
    @classmethod
    def assuming(cls, other: ZoneAccount) -> Engine:
        """A provider that writes to the other account's zone."""
        return Engine(assumeRoles=[{"roleArn": other.role_arn, "sessionName": "registry"}])

    def test_a_record_is_made_changed_and_deleted_in_the_other_accounts_zone(
        self, assuming: Engine, other: ZoneAccount
    ) -> None:
        name = f"a.{other.domain}"
        made = assuming.create(RECORD, zoneId=other.zone_id, name=name, type="A", records=["192.0.2.1"], ttl=60)
        assert other.records()[name, "A"]["ResourceRecords"] == [{"Value": "192.0.2.1"}]
        changed = assuming.update(
            made, zoneId=other.zone_id, name=name, type="A", records=["192.0.2.2"], ttl=60
        )  # fmt: skip
        assert other.records()[name, "A"]["ResourceRecords"] == [{"Value": "192.0.2.2"}]
        assert assuming.read(changed) == changed
        assuming.delete(changed)
        assert other.records() == {}

    def test_zone_and_records_are_looked_up_there(self, assuming: Engine, engine: Engine, other: ZoneAccount) -> None:
        assert assuming.invoke(GET_ZONE, name=other.domain)["zoneId"] == other.zone_id
        assert assuming.invoke(GET_ZONE, zoneId=other.zone_id)["name"] == other.domain
        found = assuming.invoke(GET_RECORDS, zoneId=other.zone_id)["resourceRecordSets"]
        assert {record["type"] for record in found} == {"NS", "SOA"}
        identity = assuming.invoke(GET_CALLER_IDENTITY)
        assert (identity["accountId"], identity["arn"].rpartition("/")[2]) == (other.id, "registry")
        with pytest.raises(PluginError, match="no matching Route 53 Hosted Zone found"):
            engine.invoke(GET_ZONE, name=other.domain)
        with pytest.raises(PluginError, match=r"listing Route 53 Records .*StatusCode: 403.* AccessDenied"):
            engine.invoke(GET_RECORDS, zoneId=other.zone_id)
        with pytest.raises(PluginError, match=r"creating Route53 Record .*StatusCode: 403.* AccessDenied"):
            engine.create(RECORD, zoneId=other.zone_id, name="b", type="A", records=["192.0.2.1"], ttl=60)

    def test_the_role_gives_no_other_rights(self, assuming: Engine) -> None:
        with pytest.raises(PluginError, match=r"assumed-role/zone-writer/registry is not authorized|AccessDenied"):
            assuming.create(BUCKET, bucket=unique("bucket"))

    def test_allowed_accounts_are_judged_by_the_account_of_the_role(self, other: ZoneAccount) -> None:
        roles = [{"roleArn": other.role_arn, "sessionName": "registry"}]
        Engine(assumeRoles=roles, allowedAccountIds=[other.id])
        with pytest.raises(PluginError, match=f"^AWS account ID not allowed: {other.id}$"):
            Engine(assumeRoles=roles, allowedAccountIds=json.dumps([ACCOUNT]))

    def test_a_role_that_cannot_be_assumed_fails_the_configuration_and_says_why(self, aws: EmulatedAws) -> None:
        other = new_account(aws)
        other.trust(ACCOUNT, StringEquals={"sts:ExternalId": "ours"})
        for wrong in ({}, {"externalId": "theirs"}):
            with pytest.raises(PluginError) as refused:
                Engine(assumeRoles=[{"roleArn": other.role_arn, **wrong}])
            text = str(refused.value)
            assert text.startswith(f"IAM Role ({other.role_arn}) cannot be assumed.\n")
            assert "operation error STS: AssumeRole, https response error StatusCode: 403" in text
            assert f"not authorized to perform: sts:AssumeRole on resource: {other.role_arn}" in text
            ((path, reason),) = refusals([{"roleArn": other.role_arn, **wrong}], skip=False)
            assert path == ""
            assert reason == f"unable to validate AWS credentials.\nDetails: {text}"
        right = [{"roleArn": other.role_arn, "externalId": "ours"}]
        Engine(assumeRoles=right)
        assert refusals(right, skip=False) == []

    def test_roles_are_assumed_one_by_the_other(self, aws: EmulatedAws, other: ZoneAccount) -> None:
        first, second = new_account(aws), new_account(aws)
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": second.role_arn}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        first.iam.put_role_policy(RoleName="zone-writer", PolicyName="next", PolicyDocument=document)
        second.trust(first.role_arn)
        with pytest.raises(PluginError, match=rf"IAM Role \({second.role_arn}\) cannot be assumed"):
            Engine(assumeRoles=[{"roleArn": second.role_arn}])
        chained = Engine(assumeRoles=[{"roleArn": first.role_arn}, {"role_arn": second.role_arn}])
        assert chained.invoke(GET_CALLER_IDENTITY)["accountId"] == second.id

    def test_credentials_are_taken_again_before_they_end(self, other: ZoneAccount) -> None:
        session = f"short-{uuid.uuid4().hex[:8]}"
        engine = Engine(assumeRoles=[{"roleArn": other.role_arn, "sessionName": session, "duration": "15m"}])
        (first,) = sessions(other, session)
        assert first.expiration - datetime.datetime.now(datetime.UTC).replace(tzinfo=None) <= datetime.timedelta(
            minutes=15
        )
        # botocore asks for new ones when the old ones last for 15 minutes or less.
        assert engine.invoke(GET_ZONE, zoneId=other.zone_id)["name"] == other.domain
        first.expiration -= datetime.timedelta(hours=1)
        assert engine.invoke(GET_ZONE, zoneId=other.zone_id)["name"] == other.domain
        assert len(sessions(other, session)) > 1


def sessions(other: ZoneAccount, name: str) -> list[Any]:
    return [one for one in sts_backends[other.id]["aws"].assumed_roles if one.session_name == name]


def new_account(aws: EmulatedAws) -> ZoneAccount:
    administrator = administrator_session(aws.administrator.id, aws.administrator.secret)
    return make_zone_account(administrator, aws.url, f"{unique('zone')}.test")
