"""The stand-in for pulumi-aws, asked as the engine asks, against the emulated AWS with IAM enforcement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.provider.experimental import provider as protocol

from sandbox.aws_plugin.errors import PluginError
from sandbox.aws_plugin.functions import FUNCTIONS
from sandbox.aws_plugin.load_balancer_zones import ZONES
from sandbox.aws_plugin.planning import DEFAULTS
from sandbox.aws_plugin.provider import RESOURCES
from sandbox.aws_plugin.schema import function_schema
from sandbox.aws_plugin.values import UNKNOWN, plain, plain_map, secret_names, wrap
from tests.sandbox.aws.service_accounts import EksCluster
from tests.sandbox.aws_plugin.driver import (
    ACCESS_BLOCK,
    ACCESS_KEY,
    ASSOCIATION,
    BUCKET,
    BUCKET_POLICY,
    CERTIFICATE,
    ENCRYPTION,
    KEY,
    LIFECYCLE,
    OWNERSHIP,
    POLICY,
    RECORD,
    ROLE,
    TRUST,
    USER,
    USER_POLICY,
    VERSIONING,
    Engine,
    Made,
    PluginTest,
    canonical_policy,
    new_user,
    run,
    unique,
    urn,
)

if TYPE_CHECKING:
    from tests.sandbox.aws.emulated_aws import EmulatedAws

CLUSTER = "samples"
POD_ROLES = [f"arn:aws:iam::123456789012:role/pods-{number}" for number in (1, 2)]
LIFECYCLE_RULES = [
    {"id": "parts", "status": "Enabled", "abortIncompleteMultipartUpload": {"daysAfterInitiation": 3}},
    {"id": "prefix", "status": "Enabled", "filter": {"prefix": "a/"}, "expiration": {"days": 30}},
    {
        "id": "versions",
        "status": "Disabled",
        "filter": {},
        "noncurrentVersionExpiration": {"noncurrentDays": 7},
        "noncurrentVersionTransitions": [{"noncurrentDays": 5, "storageClass": "GLACIER"}],
    },
    {
        "id": "tags",
        "status": "Enabled",
        "filter": {"and": {"prefix": "b/", "tags": {"k": "v", "l": "w"}}},
        "transitions": [{"days": 40, "storageClass": "GLACIER"}],
    },
    {"id": "marker", "status": "Enabled", "filter": {"tag": {"key": "k", "value": "v"}}, "expiration": {"days": 3}},
]


@dataclass(frozen=True)
class Sample:
    """A resource type with inputs, one change that updates it, and one that replaces it."""

    token: str
    inputs: dict[str, Any]
    update: dict[str, Any] | None
    replace: dict[str, Any] | None


def samples(bucket: str, user: str, zone: str, domain: str, other: str) -> list[Sample]:
    """One sample for each resource type but CertificateValidation; `other` is the name of something that isn't."""
    rule = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    kms_rule = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}, "bucketKeyEnabled": True}
    blocks = {"blockPublicAcls": True, "blockPublicPolicy": True, "restrictPublicBuckets": True}
    alias = {"name": "LB-1.us-east-1.elb.amazonaws.com.", "zoneId": "Z35SXDOTRQ7X7K", "evaluateTargetHealth": True}
    policy = canonical_policy(f"arn:aws:s3:::{bucket}")
    name = f"{other}.{domain}"
    associated = {"clusterName": CLUSTER, "namespace": other, "serviceAccount": "default", "roleArn": POD_ROLES[0]}
    return [
        Sample(
            ASSOCIATION,
            associated,
            {"roleArn": POD_ROLES[1], "tags": {"a": "b"}, "disableSessionTags": True},
            {"namespace": f"not-{other}"},
        ),
        Sample(BUCKET, {"tags": {"a": "b"}}, {"tags": {"a": "c", "d": "e"}, "forceDestroy": True}, {"bucket": other}),
        Sample(ENCRYPTION, {"bucket": bucket, "rules": [rule]}, {"rules": [kms_rule]}, {"bucket": other}),
        Sample(ACCESS_BLOCK, {"bucket": bucket, **blocks}, {"ignorePublicAcls": True}, {"bucket": other}),
        Sample(
            OWNERSHIP,
            {"bucket": bucket, "rule": {"objectOwnership": "BucketOwnerEnforced"}},
            {"rule": {"objectOwnership": "ObjectWriter"}},
            {"bucket": other},
        ),
        Sample(
            VERSIONING,
            {"bucket": bucket, "versioningConfiguration": {"status": "Enabled"}},
            {"versioningConfiguration": {"status": "Suspended"}},
            {"bucket": other},
        ),
        Sample(
            LIFECYCLE, {"bucket": bucket, "rules": LIFECYCLE_RULES}, {"rules": LIFECYCLE_RULES[:1]}, {"bucket": other}
        ),
        Sample(
            BUCKET_POLICY, {"bucket": bucket, "policy": policy}, {"policy": canonical_policy("*")}, {"bucket": other}
        ),
        Sample(USER, {"tags": {"a": "b"}}, {"tags": {"c": "d"}, "forceDestroy": True}, None),
        Sample(USER_POLICY, {"user": user, "policy": POLICY}, {"policy": canonical_policy("*")}, {"user": other}),
        Sample(ACCESS_KEY, {"user": user}, {"status": "Inactive"}, {"user": other}),
        Sample(ROLE, {"assumeRolePolicy": TRUST}, {"description": "x", "maxSessionDuration": 7200}, {"path": "/x/"}),
        Sample(
            RECORD,
            {"name": name, "zoneId": zone, "type": "A", "records": ["10.0.0.2", "10.0.0.1"], "ttl": 60},
            {"records": ["10.0.0.3"], "ttl": 30},
            {"name": f"other-{name}"},
        ),
        Sample(
            RECORD,
            {"name": f"alias-{name}.", "zoneId": zone, "type": "A", "aliases": [alias]},
            {"aliases": [{**alias, "evaluateTargetHealth": False}]},
            {"zoneId": "Z0000000000000"},
        ),
        Sample(
            CERTIFICATE,
            {"domainName": name, "validationMethod": "DNS", "subjectAlternativeNames": [f"a.{name}"]},
            {"tags": {"a": "b"}},
            {"domainName": f"other-{name}"},
        ),
        Sample(
            KEY,
            {"description": "d", "deletionWindowInDays": 7},
            {"enableKeyRotation": True, "description": "e", "tags": {"a": "b"}},
            {"keyUsage": "SIGN_VERIFY"},
        ),
    ]


SAMPLES = len(samples("b", "u", "z", "d", "o"))


def sample_name(number: int) -> str:
    """What the tests call the sample `number`."""
    return samples("b", "u", "z", "d", "o")[number].token.rsplit(":", 1)[-1]


class TestEveryResource(PluginTest):
    """`sample` and `made` are shared by the tests that change nothing; `fresh` is a test's own."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def cluster(cls, aws: EmulatedAws) -> Iterator[None]:
        """What associations hang on."""
        network: dict[str, Any] = {"subnetIds": []}
        aws.client("eks").create_cluster(name=CLUSTER, roleArn=POD_ROLES[0], resourcesVpcConfig=network)
        trust = TRUST.replace("ec2.amazonaws.com", "pods.eks.amazonaws.com")
        names = [arn.rpartition("/")[2] for arn in POD_ROLES]
        for name in names:
            aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        yield
        aws.client("eks").delete_cluster(name=CLUSTER)
        for name in names:
            aws.client("iam").delete_role(RoleName=name)

    @pytest.fixture(scope="class", params=range(SAMPLES), ids=sample_name)
    @classmethod
    def number(cls, request: pytest.FixtureRequest) -> int:
        return request.param

    @pytest.fixture(scope="class")
    @classmethod
    def sample(cls, number: int, aws: EmulatedAws, zone: str, domain: str) -> Sample:
        return samples(aws.new_bucket(), new_user(aws), zone, domain, unique("other"))[number]

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, engine: Engine, sample: Sample) -> Made:
        return engine.create(sample.token, **sample.inputs)

    @pytest.fixture
    def fresh(self, number: int, bucket: str, user: str, zone: str, domain: str) -> Sample:
        return samples(bucket, user, zone, domain, unique("other"))[number]

    def test_nothing_changes_when_it_is_checked_again_or_refreshed(
        self, engine: Engine, sample: Sample, made: Made
    ) -> None:
        assert not engine.diff(made, **sample.inputs).changes
        refreshed = engine.read(made)
        assert refreshed is not None
        assert (refreshed.inputs, refreshed.outputs) == (made.inputs, made.outputs)

    def test_its_outputs_are_the_real_providers(self, engine: Engine, sample: Sample, made: Made) -> None:
        resource = RESOURCES[sample.token]
        schema = resource.schema()
        planned = engine.planned(sample.token, **sample.inputs)
        assert made.state.keys() - {"id"} <= schema.outputs
        missing = schema.outputs - made.state.keys() - resource.absent_outputs
        assert missing <= schema.inputs.keys() - sample.inputs.keys(), "only what was not given may be absent"
        assert planned.keys() - made.state.keys() == set(), "a preview promises nothing that does not come"
        known = {name: value for name, value in planned.items() if value is not UNKNOWN}
        for name in known.keys() & schema.inputs.keys() - {resource.auto_name.name if resource.auto_name else ""}:
            compared = resource(engine.provider.aws)
            assert compared.normal(name, known[name], known) == compared.normal(name, made.state[name], made.state)

    def test_a_change_updates_it(self, engine: Engine, fresh: Sample) -> None:
        if fresh.update is None:
            pytest.skip("it can only be replaced")
        made = engine.create(fresh.token, **fresh.inputs)
        changed = {**fresh.inputs, **fresh.update}
        found = engine.diff(made, **changed)
        assert found.changes
        assert set(found.diffs) == fresh.update.keys()
        updated = engine.update(made, **changed)
        assert not engine.diff(updated, **changed).changes
        refreshed = engine.read(updated)
        assert refreshed is not None
        assert refreshed.outputs == updated.outputs

    def test_taking_the_change_back_is_a_change_too(self, engine: Engine, fresh: Sample) -> None:
        if fresh.update is None:
            pytest.skip("it can only be replaced")
        made = engine.create(
            fresh.token, **fresh.inputs, **{k: v for k, v in fresh.update.items() if k not in fresh.inputs}
        )
        back = engine.diff(made, **fresh.inputs)
        optional = {name for name in fresh.update if name not in fresh.inputs}
        assert set(back.diffs) == optional - RESOURCES[fresh.token].computed
        if optional:
            again = engine.update(made, **fresh.inputs)
            assert engine.diff(again, **fresh.inputs).diffs == []

    def test_a_change_of_what_it_is_replaces_it(self, engine: Engine, sample: Sample, made: Made) -> None:
        if sample.replace is None:
            pytest.skip("it can only be updated")
        found = engine.diff(made, **{**sample.inputs, **sample.replace})
        assert found.replaces[0] in sample.replace
        assert found.replaces == found.diffs
        assert all(diff.kind is protocol.PropertyDiffKind.UPDATE_REPLACE for diff in found.detailed_diff.values())

    def test_it_is_replaced_when_what_it_hangs_on_is_not_known_yet(
        self, engine: Engine, sample: Sample, made: Made
    ) -> None:
        if sample.replace is None or not sample.replace.keys() <= sample.inputs.keys():
            pytest.skip("it hangs on nothing")
        unknown = dict.fromkeys(sample.replace, UNKNOWN)
        assert set(engine.diff(made, **{**sample.inputs, **unknown}).replaces) >= sample.replace.keys()

    def test_deleted_it_is_gone_and_deleting_it_again_is_fine(self, engine: Engine, fresh: Sample) -> None:
        made = engine.create(fresh.token, **fresh.inputs)
        engine.delete(made)
        left = {  # AWS keeps these of a bucket in any case
            VERSIONING: {"versioningConfiguration": {"status": "Suspended"}},
            ENCRYPTION: {"rules": plain(made.outputs["rules"]) if "rules" in made.outputs else None},
        }
        refreshed = engine.read(made)
        if fresh.token in left:
            assert refreshed is not None
            assert refreshed.state.items() >= left[fresh.token].items()
        else:
            assert refreshed is None
        engine.delete(made)

    def test_it_can_be_imported(self, engine: Engine, sample: Sample, made: Made) -> None:
        found = engine.imported(sample.token, f"{CLUSTER},{made.id}" if sample.token == ASSOCIATION else made.id)
        assert found is not None
        assert found.id == made.id
        name = RESOURCES[sample.token].auto_name
        named = {name.name: made.state[name.name]} if name else {}
        gone = {"deletionWindowInDays"}  # known to the program only
        inputs = {key: value for key, value in sample.inputs.items() if key not in gone}
        assert not engine.diff(found, **inputs, **named).changes
        assert plain_map(found.inputs).keys() >= (inputs.keys() | named.keys())


class TestCheck(PluginTest):
    def test_an_unknown_resource_type_is_refused_with_the_known_ones(self, engine: Engine) -> None:
        with pytest.raises(
            PluginError, match="does not implement the resource type aws:ec2/vpc:Vpc; it implements aws:acm"
        ):
            engine.checked("aws:ec2/vpc:Vpc", "res", {})

    def test_an_unknown_property_is_refused_with_the_one_that_was_meant(self, engine: Engine) -> None:
        message = engine.refusal(BUCKET, forceDestory=True)
        assert message.startswith("aws:s3/bucket:Bucket 'res': property 'forceDestory' is unknown")
        assert "did you mean 'forceDestroy'?" in message
        assert "bucket, forceDestroy, objectLockEnabled, region, tags" in message

    def test_a_misspelt_nested_property_is_refused_with_its_path(self, engine: Engine) -> None:
        rules = [{"applyServerSideEncryptionByDefault": {"sseAlgoritm": "AES256"}}]
        message = engine.refusal(ENCRYPTION, bucket="b", rules=rules)
        assert "'rules[0].applyServerSideEncryptionByDefault.sseAlgoritm' is unknown" in message
        assert "'rules[0].applyServerSideEncryptionByDefault.sseAlgorithm' is required and missing" in message

    def test_a_missing_property_is_named(self, engine: Engine) -> None:
        assert "property 'user' is required and missing" in engine.refusal(ACCESS_KEY)

    def test_what_the_stand_in_lacks_is_told_apart_from_what_does_not_exist(self, engine: Engine) -> None:
        assert "pulumi-aws that the sandbox's stand-in does not implement" in engine.refusal(BUCKET, acl="private")

    @pytest.mark.parametrize(
        ("token", "inputs", "message"),
        [
            (BUCKET, {"forceDestroy": "yes"}, "'forceDestroy' must be a boolean, not a str"),
            (BUCKET, {"tags": ["a"]}, "'tags' must be an object, not a list"),
            (BUCKET, {"tags": {"a": 1}}, "must be a string, not a int"),
            (OWNERSHIP, {"bucket": "b", "rule": {"objectOwnership": "Me"}}, "must be one of BucketOwnerPreferred, "),
            (ACCESS_KEY, {"user": "u", "status": "On"}, "'status' must be one of Active, Inactive, not 'On'"),
            (
                RECORD,
                {"zoneId": "z", "name": "n", "type": "B", "records": ["x"], "ttl": 1},
                "'type' must be one of A, AAAA",
            ),
            (RECORD, {"zoneId": "z", "name": "n", "type": "A"}, "one of 'records' and 'aliases' must be given"),
            (RECORD, {"zoneId": "z", "name": "n", "type": "A", "records": ["x"]}, "'ttl' is required with 'records'"),
            (
                RECORD,
                {"zoneId": "z", "name": "n", "type": "A", "records": ["x"], "ttl": "60"},
                "'ttl' must be an integer",
            ),
            (BUCKET_POLICY, {"bucket": "b", "policy": "{"}, "invalid JSON policy"),
            (CERTIFICATE, {"domainName": "a.test."}, "can't end with a period"),
            (CERTIFICATE, {"domainName": "a.test"}, "'validationMethod' must be given"),
            (VERSIONING, {"bucket": "b", "versioningConfiguration": {"status": "On"}}, "one of Enabled, Suspended"),
        ],
    )
    def test_a_wrong_value_is_refused_with_the_rule(
        self, engine: Engine, token: str, inputs: dict[str, Any], message: str
    ) -> None:
        assert message in engine.refusal(token, **inputs)

    def test_unknown_values_pass(self, engine: Engine) -> None:
        engine.check(RECORD, "res", {"zoneId": UNKNOWN, "name": UNKNOWN, "type": UNKNOWN, "records": UNKNOWN, "ttl": 1})
        engine.check(ENCRYPTION, "res", {"bucket": UNKNOWN, "rules": [UNKNOWN]})

    def test_a_secret_is_not_in_the_message_about_it(self, engine: Engine) -> None:
        message = engine.refusal(BUCKET, tags=wrap({"a": 123456}, secret=True))
        assert "123456" not in message

    def test_defaults_are_the_real_providers(self, engine: Engine) -> None:
        inputs = plain_map(engine.check(BUCKET, "Data", {}))
        assert inputs["forceDestroy"] is False
        assert inputs[DEFAULTS] == ["bucket", "forceDestroy"]


class TestNames(PluginTest):
    def test_a_bucket_is_named_after_its_resource_in_lower_case_with_seven_digits(self, engine: Engine) -> None:
        name = plain(engine.check(BUCKET, "Data", {})["bucket"])
        prefix, _, digits = name.rpartition("-")
        assert prefix == "data"
        assert len(digits) == 7
        assert int(digits, 16) >= 0

    def test_a_user_keeps_its_capitals(self, engine: Engine) -> None:
        assert plain(engine.check(USER, "Robot", {})["name"]).startswith("Robot-")

    def test_an_automatic_name_stays(self, engine: Engine) -> None:
        first = engine.check(BUCKET, "data", {})
        assert engine.check(BUCKET, "data", {"tags": {"a": "b"}}, first)["bucket"] == first["bucket"]

    def test_taking_away_a_given_name_gives_an_automatic_one(self, engine: Engine) -> None:
        first = engine.check(BUCKET, "data", {"bucket": "given"})
        assert plain(engine.check(BUCKET, "data", {}, first)["bucket"]).startswith("data-")

    def test_a_name_that_aws_would_not_take_is_refused(self, engine: Engine) -> None:
        failures = engine.checked(BUCKET, "x" * 60, {}).failures
        assert failures
        assert "68 characters, AWS takes 63" in failures[0].reason


class TestPreview(PluginTest):
    def test_known_inputs_pass_through_and_the_rest_is_unknown(self, engine: Engine) -> None:
        planned = engine.planned(BUCKET, bucket="given", tags={"a": UNKNOWN})
        assert planned["bucket"] == "given"
        assert planned["forceDestroy"] is False
        assert planned["region"] == "us-east-1"
        assert planned["arn"] is UNKNOWN
        assert planned["tags"] == {"a": UNKNOWN}
        assert planned["tagsAll"] is UNKNOWN

    def test_nothing_is_made(self, engine: Engine, aws: EmulatedAws) -> None:
        name = unique("planned")
        engine.planned(BUCKET, bucket=name)
        assert name not in [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]]

    def test_of_an_update_keeps_what_stays(self, engine: Engine) -> None:
        made = engine.create(USER, tags={"a": "b"})
        planned = engine.update(made, preview=True, tags={"c": "d"}).state
        assert planned == {**made.state, "tags": {"c": "d"}, "tagsAll": {"c": "d"}}

    def test_of_a_rename_does_not_know_the_new_arn(self, engine: Engine) -> None:
        made = engine.create(USER, name=unique("user"))
        assert engine.update(made, preview=True, name="renamed").state["arn"] is UNKNOWN

    def test_a_secret_input_makes_a_secret_output(self, engine: Engine, user: str) -> None:
        checked = dict(engine.check(USER_POLICY, "res", {"user": user, "policy": wrap(POLICY, secret=True)}))
        for preview in (True, False):
            request = protocol.CreateRequest(urn(USER_POLICY, "res"), checked, 0, preview)
            assert secret_names(run(engine.provider.create(request)).properties) == {"policy"}


class TestFunctions(PluginTest):
    @pytest.fixture
    def arguments(  # noqa: PLR0917 (fixtures)
        self, engine: Engine, aws: EmulatedAws, domain: str, zone: str, bucket: str, tmp_path: Path
    ) -> dict[str, dict[str, Any]]:
        cluster = EksCluster(aws, tmp_path)
        return {
            "getBucket": {"bucket": bucket},
            "getCluster": {"name": cluster.name},
            "getKey": {"keyId": engine.create(KEY).id, "grantTokens": ["token"]},
            "getOpenIdConnectProvider": {"url": cluster.issuer},
            "getRecords": {"zoneId": zone, "nameRegex": domain},
            "getZone": {"name": domain},
        }

    @pytest.mark.parametrize("token", sorted(FUNCTIONS))
    def test_give_what_the_real_ones_give(
        self, engine: Engine, token: str, arguments: dict[str, dict[str, Any]]
    ) -> None:
        given = arguments.get(token.rpartition(":")[2], {})
        assert engine.invoke(token, **given).keys() == function_schema(token).results

    def test_an_unknown_function_or_argument_is_refused(self, engine: Engine) -> None:
        with pytest.raises(PluginError, match="does not implement the function aws:ec2/getVpc:getVpc; it implements"):
            engine.invoke("aws:ec2/getVpc:getVpc")
        with pytest.raises(PluginError, match=r"argument 'nam' is unknown; known are .*name, privateZone"):
            engine.invoke("aws:route53/getZone:getZone", nam="x")

    def test_a_zone_is_found_by_name_or_id(self, engine: Engine, domain: str, zone: str) -> None:
        by_name = engine.invoke("aws:route53/getZone:getZone", name=f"{domain.upper()}.")
        assert by_name == engine.invoke("aws:route53/getZone:getZone", zoneId=zone)
        assert by_name["zoneId"] == by_name["id"] == zone
        assert by_name["name"] == domain
        assert by_name["privateZone"] is False
        assert len(by_name["nameServers"]) == 4

    def test_a_private_zone_is_found_only_when_asked_for(self, engine: Engine, aws: EmulatedAws) -> None:
        vpc = aws.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        name = f"{unique('private')}.test"
        aws.client("route53").create_hosted_zone(
            Name=name, CallerReference=unique(), VPC={"VPCRegion": "us-east-1", "VPCId": vpc},
            HostedZoneConfig={"PrivateZone": True},
        )  # fmt: skip
        with pytest.raises(
            PluginError, match=f"no matching Route 53 Hosted Zone found: name='{name}'; the account has"
        ):
            engine.invoke("aws:route53/getZone:getZone", name=name)
        assert engine.invoke("aws:route53/getZone:getZone", name=name, privateZone=True)["name"] == name
        assert engine.invoke("aws:route53/getZone:getZone", name=name, privateZone=True, vpcId=vpc)["vpcId"] == vpc

    def test_two_zones_of_one_name_are_ambiguous_until_a_tag_tells(self, engine: Engine, aws: EmulatedAws) -> None:
        route53, name = aws.client("route53"), f"{unique('twice')}.test"
        zones = [route53.create_hosted_zone(Name=name, CallerReference=unique())["HostedZone"]["Id"] for _ in range(2)]
        with pytest.raises(PluginError, match="multiple Route 53 Hosted Zones matched"):
            engine.invoke("aws:route53/getZone:getZone", name=name)
        wanted = zones[1].rsplit("/")[-1]
        tags = [{"Key": "env", "Value": "prod"}]
        route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=wanted, AddTags=tags)
        assert engine.invoke("aws:route53/getZone:getZone", name=name, tags={"env": "prod"})["zoneId"] == wanted

    def test_the_zones_of_load_balancers_differ_by_type_and_region(self, engine: Engine) -> None:
        classic, other = "aws:elb/getHostedZoneId:getHostedZoneId", "aws:lb/getHostedZoneId:getHostedZoneId"
        assert engine.invoke(classic)["id"] == "Z35SXDOTRQ7X7K"
        assert engine.invoke(other)["id"] == "Z35SXDOTRQ7X7K"
        assert engine.invoke(other, loadBalancerType="network")["id"] == "Z26RNL4JYFTOTI"
        assert engine.invoke(classic, region="eu-west-1")["id"] == "Z32O12XQLNTSW2"
        assert engine.invoke(other, loadBalancerType="network", region="eu-west-1")["id"] == "Z2IFOLAFXWLO4F"
        with pytest.raises(PluginError, match=r"^unsupported ELB hosted zone Region: mars-1$"):
            engine.invoke(classic, region="mars-1")
        for kind in ("application", "network"):
            with pytest.raises(PluginError, match=r"^unsupported AWS Region: mars-1$"):
                engine.invoke(other, loadBalancerType=kind, region="mars-1")
        with pytest.raises(PluginError, match=r'one of \["application" "network"\], got gateway'):
            engine.invoke(other, loadBalancerType="gateway")

    def test_network_load_balancers_have_zones_of_their_own_in_each_region(self) -> None:
        classic, network = ({zones[kind] for zones in ZONES.values()} for kind in (0, 1))
        assert (len(classic), len(network), classic & network) == (len(ZONES), len(ZONES), set())

    def test_region_partition_and_identity(self, engine: Engine, aws: EmulatedAws) -> None:
        assert engine.invoke("aws:index/getRegion:getRegion")["description"] == "US East (N. Virginia)"
        assert engine.invoke("aws:index/getPartition:getPartition")["dnsSuffix"] == "amazonaws.com"
        identity = engine.invoke("aws:index/getCallerIdentity:getCallerIdentity")
        assert identity["arn"].endswith(f":user/{aws.administrator.user}")
