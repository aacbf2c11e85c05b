"""The stand-in for pulumi-aws behind the real Pulumi engine, against the emulated AWS with IAM enforcement."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from moto.acm.models import AWSCertificateManagerBackend

from sandbox.plugins import lay_plugins
from sandbox.processes import Process
from sandbox.tools.build import Toolchain, toolchain
from tests.descendants import descendants
from tests.end_to_end.zone_account import administrator_session, make_zone_account
from tests.waiting import COMMAND_SECONDS, PATIENCE_SECONDS, wait_for

if TYPE_CHECKING:
    from tests.sandbox.aws.emulated_aws import EmulatedAws

pytestmark = pytest.mark.sandbox

PASSPHRASE = "test"

EVERYTHING = """
import json
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
ZONE = config.require("zone")
HOST = f"registry.{ZONE}"

def policy(arn):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": arn}]}, indent=2)

bucket = aws.s3.Bucket("Data", force_destroy=True, bucket=config.get("bucket"), tags={"a": config.get("tag") or "b"})
aws.s3.BucketServerSideEncryptionConfiguration("encryption", bucket=bucket.bucket, rules=[
    {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}])
aws.s3.BucketPublicAccessBlock("block", bucket=bucket.bucket, block_public_acls=True, block_public_policy=True,
    ignore_public_acls=True, restrict_public_buckets=True)
aws.s3.BucketOwnershipControls("ownership", bucket=bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"})
aws.s3.BucketVersioning("versioning", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"})
aws.s3.BucketLifecycleConfiguration("lifecycle", bucket=bucket.bucket, rules=[
    {"id": "parts", "status": "Enabled", "abort_incomplete_multipart_upload": {"days_after_initiation": 3}},
    {"id": "old", "status": "Enabled", "filter": {"prefix": "x/"},
     "noncurrent_version_expiration": {"noncurrent_days": 30}}])
aws.s3.BucketPolicy("bucket-policy", bucket=bucket.bucket, policy=bucket.arn.apply(lambda arn: json.dumps({
    "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:GetObject",
    "Resource": [arn + "/*"]}]})))
user = aws.iam.User("robot", tags={"x": "y"})
aws.iam.UserPolicy("policy", user=user.name, policy=bucket.arn.apply(policy))
key = aws.iam.AccessKey("key", user=user.name)
role = aws.iam.Role("role", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))
aws.iam.RolePolicy("role-policy", role=role.name, policy=bucket.arn.apply(policy))
zone = aws.route53.get_zone(name=ZONE)
aws.route53.Record("alias", zone_id=zone.zone_id, name=HOST, type="A", aliases=[
    {"name": "LB-1.us-east-1.elb.amazonaws.com.", "zone_id": aws.elb.get_hosted_zone_id().id,
     "evaluate_target_health": True}])
certificate = aws.acm.Certificate("certificate", domain_name=HOST, validation_method="DNS")
option = certificate.domain_validation_options[0]
proof = aws.route53.Record("proof", zone_id=zone.zone_id, name=option.resource_record_name,
    type=option.resource_record_type, ttl=60, records=[option.resource_record_value])
issued = aws.acm.CertificateValidation("issued", certificate_arn=certificate.arn,
    validation_record_fqdns=[proof.fqdn])
kms = aws.kms.Key("kms", description="d", enable_key_rotation=True, deletion_window_in_days=7)
pulumi.export("bucket", bucket.bucket)
pulumi.export("user", user.name)
pulumi.export("key", key.id)
pulumi.export("secret", key.secret)
pulumi.export("certificate", issued.certificate_arn)
pulumi.export("region", aws.get_region().region)
"""

BUCKET_ONLY = """
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
bucket = aws.s3.Bucket("data", force_destroy=config.get_bool("force"))
pulumi.export("bucket", bucket.bucket)
"""


@dataclass
class Stack:
    """A Pulumi program with a stack of its own, and the commands on it."""

    directory: Path
    environment: dict[str, str]

    def program(self, text: str) -> None:
        (self.directory / "__main__.py").write_text(text)

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--color=never"],
            cwd=self.directory, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        """What the command printed."""
        process = self.command(*arguments)
        printed, _ = process.communicate(timeout=COMMAND_SECONDS)
        assert (process.returncode != 0) == fails, printed
        return printed

    def up(self, **config: str) -> str:
        return self("up", "--yes", "--skip-preview", *_settings(config))

    def preview(self, **config: str) -> dict[str, Any]:
        """The operations planned, by the resource's name; those that change nothing left out."""
        printed = self("preview", "--json", *_settings(config))
        steps = json.loads(printed[printed.index("{") :])["steps"]
        return {step["urn"].rsplit("::", 1)[-1]: step["op"] for step in steps if step["op"] not in ("same", "read")}

    def outputs(self) -> dict[str, Any]:
        return json.loads(self("stack", "output", "--json", "--show-secrets"))

    def export(self) -> str:
        return self("stack", "export")


def _settings(config: dict[str, str]) -> list[str]:
    return [part for key, value in config.items() for part in ("--config", f"{key}={value}")]


@pytest.fixture(scope="session")
def tools() -> Toolchain:
    return toolchain()


@pytest.fixture
def zone(aws: EmulatedAws) -> str:
    name = f"z{uuid.uuid4().hex[:8]}.test"
    aws.client("route53").create_hosted_zone(Name=name, CallerReference=name)
    return name


@pytest.fixture
def stack(aws: EmulatedAws, tmp_path: Path, tools: Toolchain) -> Stack:
    (tmp_path / "program").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "program" / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
    path = [str(Path(sys.executable).parent), str(tools.binaries), os.environ["PATH"]]
    lay_plugins(tmp_path / "pulumi", tools)
    environment = {
        "PATH": os.pathsep.join(path),
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": aws.administrator.id,
        "AWS_SECRET_ACCESS_KEY": aws.administrator.secret,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    stack = Stack(tmp_path / "program", environment)
    stack("stack", "init", "test")
    return stack


def test_everything_is_made_stays_the_same_and_goes(stack: Stack, aws: EmulatedAws, zone: str) -> None:
    stack.program(EVERYTHING)
    planned = stack.preview(zone=zone)
    assert set(planned.values()) == {"create"}
    assert f"{len(planned)} created" in stack.up(zone=zone)

    outputs = stack.outputs()
    assert outputs["bucket"].startswith("data-")
    assert outputs["region"] == "us-east-1"
    assert outputs["secret"] not in stack.export()
    key = type(aws.administrator)(outputs["user"], outputs["key"], outputs["secret"])
    assert aws.client("s3", key).list_objects_v2(Bucket=outputs["bucket"])["KeyCount"] == 0

    assert f"{len(planned)} unchanged" in stack.up()
    assert stack.preview() == {}
    stack("refresh", "--yes", "--skip-preview")  # the certificate is issued now, as it would be on AWS
    assert f"{len(planned)} unchanged" in stack("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert stack.preview() == {}

    aws.client("s3").put_object(Bucket=outputs["bucket"], Key="k", Body=b"x")
    stack("destroy", "--yes", "--skip-preview")
    assert outputs["bucket"] not in [each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]]
    assert outputs["user"] not in [each["UserName"] for each in aws.client("iam").list_users()["Users"]]
    arns = [each["CertificateArn"] for each in aws.client("acm").list_certificates()["CertificateSummaryList"]]
    assert outputs["certificate"] not in arns
    zone_id = aws.client("route53").list_hosted_zones_by_name(DNSName=zone)["HostedZones"][0]["Id"]
    records = aws.client("route53").list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    assert {record["Type"] for record in records} == {"NS", "SOA"}


def test_a_change_updates_what_can_be_updated_and_replaces_the_rest(stack: Stack, aws: EmulatedAws, zone: str) -> None:
    stack.program(EVERYTHING)
    stack.up(zone=zone)
    assert stack.preview(tag="c") == {"Data": "update"}
    old, new = stack.outputs()["bucket"], f"renamed-{uuid.uuid4().hex[:8]}"
    planned = stack.preview(bucket=new)
    assert {name for name, op in planned.items() if op == "replace" or op.endswith("-replacement")} >= {"Data", "block"}
    assert {planned["policy"], planned["role-policy"]} == {"update"}
    assert "robot" not in planned
    stack.up(bucket=new)
    buckets = [each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]]
    assert new in buckets
    assert old not in buckets
    assert stack.preview() == {}
    stack("destroy", "--yes", "--skip-preview")


def test_what_someone_else_deleted_is_made_again_after_a_refresh(stack: Stack, aws: EmulatedAws) -> None:
    stack.program(BUCKET_ONLY)
    stack.up()
    bucket = stack.outputs()["bucket"]
    aws.client("s3").delete_bucket(Bucket=bucket)
    assert "- 1 deleted" in stack("refresh", "--yes", "--skip-preview")
    assert stack.preview() == {"data": "create"}


def test_a_bucket_with_objects_is_not_destroyed_until_force_destroy_is_applied(stack: Stack, aws: EmulatedAws) -> None:
    stack.program(BUCKET_ONLY)
    stack.up()
    bucket = stack.outputs()["bucket"]
    aws.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    printed = stack("destroy", "--yes", "--skip-preview", fails=True)
    assert f"deleting S3 Bucket ({bucket}): operation error S3: DeleteBucket, https response error" in printed
    assert "api error BucketNotEmpty: The bucket you tried to delete is not empty" in printed
    assert "Traceback" not in printed
    assert ".py" not in printed
    assert aws.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    stack.up(force="true")
    stack("destroy", "--yes", "--skip-preview")


def test_a_wrong_property_is_refused_before_anything_is_made(stack: Stack) -> None:
    stack.program(
        "import pulumi_aws as aws\n"
        "bucket = aws.s3.Bucket('data')\n"
        "aws.s3.BucketOwnershipControls('o', bucket=bucket.bucket, rule={'objectOwnershp': 'ObjectWriter'})\n"
    )
    printed = stack("preview", fails=True)
    assert "property 'rule.objectOwnershp' is unknown; did you mean 'objectOwnership'?" in printed


def test_a_resource_type_that_is_not_implemented_is_refused(stack: Stack) -> None:
    stack.program("import pulumi_aws as aws\naws.ec2.Vpc('vpc', cidr_block='10.0.0.0/16')\n")
    printed = stack("preview", fails=True)
    assert "does not implement the resource type aws:ec2/vpc:Vpc; it implements aws:acm/certificate" in printed


def test_a_half_made_bucket_is_finished_by_the_next_update(stack: Stack, aws: EmulatedAws) -> None:
    program = (
        "import pulumi\nimport pulumi_aws as aws\npulumi.export('bucket', aws.s3.Bucket('data', tags={tags}).bucket)\n"
    )
    stack.program(program.format(tags={"aws:reserved": "x"}))
    printed = stack("up", "--yes", "--skip-preview", fails=True)
    assert "setting S3 Bucket (data-" in printed
    made = [name for name in _buckets(aws) if name in stack.export()]
    stack.program(program.format(tags={"fine": "x"}))
    stack.up()
    assert [stack.outputs()["bucket"]] == made


def _buckets(aws: EmulatedAws) -> list[str]:
    return [each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]]


def test_an_existing_bucket_and_record_are_imported(stack: Stack, aws: EmulatedAws, zone: str) -> None:
    bucket = aws.new_bucket()
    route53 = aws.client("route53")
    zone_id = route53.list_hosted_zones_by_name(DNSName=zone)["HostedZones"][0]["Id"].rsplit("/", 1)[-1]
    record = {"Name": f"a.{zone}", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": "10.0.0.1"}]}
    change = {"Action": "CREATE", "ResourceRecordSet": record}
    route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": [change]})
    stack.program(
        "import pulumi\nimport pulumi_aws as aws\n"
        f"aws.s3.Bucket('data', bucket='{bucket}', opts=pulumi.ResourceOptions(import_='{bucket}'))\n"
        f"aws.route53.Record('a', zone_id='{zone_id}', name='a.{zone}', type='A', ttl=5, records=['10.0.0.1'],"
        f" opts=pulumi.ResourceOptions(import_='{zone_id}_a.{zone}_A'))\n"
    )
    assert "= 2 imported" in stack.up()
    assert stack.preview() == {}


def test_an_explicit_provider_has_its_own_region_and_tags(stack: Stack, aws: EmulatedAws) -> None:
    stack.program(
        "import pulumi\nimport pulumi_aws as aws\n"
        "europe = aws.Provider('europe', region='eu-central-1', default_tags={'tags': {'team': 'platform'}})\n"
        "bucket = aws.s3.Bucket('data', opts=pulumi.ResourceOptions(provider=europe))\n"
        "pulumi.export('bucket', bucket.bucket)\npulumi.export('region', bucket.region)\n"
        "pulumi.export('tags', bucket.tags_all)\n"
    )
    stack.up()
    outputs = stack.outputs()
    assert outputs["region"] == "eu-central-1"
    assert outputs["tags"] == {"team": "platform"}
    location = aws.client("s3").get_bucket_location(Bucket=outputs["bucket"])["LocationConstraint"]
    assert location == "eu-central-1"
    assert stack.preview() == {}
    stack("destroy", "--yes", "--skip-preview")


NEXT_DOOR = """
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
zone_account = None
if role := config.get("role"):
    zone_account = aws.Provider("zone", region="us-east-1", assume_roles=[
        {"role_arn": role, "session_name": "registry-zone"}], allowed_account_ids=[config.require("account")])
zone = aws.route53.get_zone(name=config.require("zone"), opts=pulumi.InvokeOptions(provider=zone_account))
aws.route53.Record("alias", zone_id=zone.zone_id, name="registry." + zone.name, type="A", aliases=[
    {"name": "lb-1.elb.us-east-1.amazonaws.com", "evaluate_target_health": False,
     "zone_id": aws.lb.get_hosted_zone_id(load_balancer_type="network").id}],
    opts=pulumi.ResourceOptions(provider=zone_account))
pulumi.export("bucket", aws.s3.Bucket("data").bucket)
pulumi.export("accounts", [aws.get_caller_identity().account_id,
    aws.get_caller_identity(opts=pulumi.InvokeOptions(provider=zone_account)).account_id])
"""


def test_one_program_writes_to_two_accounts_by_a_provider_that_assumes_a_role(stack: Stack, aws: EmulatedAws) -> None:
    administrator = administrator_session(aws.administrator.id, aws.administrator.secret)
    other = make_zone_account(administrator, aws.url, f"z{uuid.uuid4().hex[:8]}.test")
    stack.program(NEXT_DOOR)
    settings = {"zone": other.domain, "account": other.id}
    printed = stack("preview", *_settings(settings), fails=True)
    assert "no matching Route 53 Hosted Zone found" in printed

    settings["role"] = other.role_arn
    assert stack.preview(**settings) == dict.fromkeys(("test-test", "zone", "alias", "data"), "create")
    stack.up(**settings)
    assert stack.outputs()["accounts"] == ["123456789012", other.id]
    ((name, _),) = other.records()
    assert name == f"registry.{other.domain}"
    assert stack.outputs()["bucket"] in _buckets(aws)
    assert stack.preview() == {}
    stack("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    other.trust("arn:aws:iam::111111111111:root")
    printed = stack("preview", fails=True)
    assert f"IAM Role ({other.role_arn}) cannot be assumed." in printed
    other.trust("123456789012")
    stack("destroy", "--yes", "--skip-preview")
    assert other.records() == {}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ARN of a certificate for each time that the emulated AWS is asked for it."""
    found: list[str] = []
    describe = AWSCertificateManagerBackend.describe_certificate

    def noted(backend: AWSCertificateManagerBackend, arn: str) -> Any:
        found.append(arn)
        return describe(backend, arn)

    monkeypatch.setattr(AWSCertificateManagerBackend, "describe_certificate", noted)
    return found


@pytest.fixture
def waiting(stack: Stack, looks: list[str]) -> subprocess.Popen[str]:
    """An update that waits for a certificate that nobody proves."""
    stack.program(
        "import pulumi_aws as aws\n"
        "certificate = aws.acm.Certificate('c', domain_name='nobody.test', validation_method='DNS')\n"
        "aws.acm.CertificateValidation('v', certificate_arn=certificate.arn)\n"
    )
    process = stack.command("up", "--yes", "--skip-preview")
    assert process.stdout
    if not any("CertificateValidation v creating" in line for line in process.stdout):
        pytest.fail("the update does not wait for the certificate")
    before = len(looks)
    wait_for(lambda: len(looks) > before, "look of the validation at its certificate")
    return process


def plugin_of(engine: subprocess.Popen[str]) -> psutil.Process:
    (plugin,) = descendants(psutil.Process(engine.pid), lambda one: "pulumi-resource-aws" in " ".join(one.cmdline()))
    return plugin


def test_an_interrupted_update_ends_at_once(waiting: subprocess.Popen[str]) -> None:
    plugin = plugin_of(waiting)
    waiting.send_signal(signal.SIGINT)
    printed, _ = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert "cancelled while waiting" in printed
    wait_for(lambda: not plugin.is_running(), "end of the plugin")


def test_the_plugin_ends_with_its_engine(waiting: subprocess.Popen[str]) -> None:
    plugin = plugin_of(waiting)
    language_host = [child for child in psutil.Process(waiting.pid).children(recursive=True) if child != plugin]
    recorded = Process("plugin", plugin.pid, plugin.create_time())  # nobody may wait for it, its parent being dead
    waiting.kill()
    wait_for(lambda: recorded.find() is None, "end of the plugin")
    for process in language_host:  # the engine's own; they end by themselves too, but later
        with suppress(psutil.NoSuchProcess):
            process.kill()
    waiting.communicate()
