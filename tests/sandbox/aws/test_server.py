from __future__ import annotations

import base64
import logging
import re
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sandbox.aws import server
from sandbox.layout import Layout
from tests import networks
from tests.sandbox.aws.emulated_aws import CloudProcess, EmulatedAws, running_cloud
from tests.waiting import PATIENCE_SECONDS, wait_for


def accepts(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname or "", address.port or 0)) == 0


def test_a_client_that_never_finishes_its_handshake_keeps_no_other_waiting(aws: EmulatedAws) -> None:
    address = urlsplit(aws.tls_url)
    with socket.create_connection((address.hostname or "", address.port or 0)):
        assert aws.client("sts", tls=True).get_caller_identity()["Account"] == "123456789012"


def test_only_failures_of_the_emulation_are_logged_and_without_their_query(
    aws: EmulatedAws, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bucket = aws.new_bucket()
    aws.client("s3").list_objects_v2(Bucket=bucket, Prefix="not-logged")
    assert not [record for record in caplog.records if record.name in {"werkzeug", "sandbox.aws"}]
    url = f"{aws.url}/{bucket}?secret=in-query"
    request = AWSRequest("PATCH", url)  # a method that moto does not know
    S3SigV4Auth(Credentials(aws.administrator.id, aws.administrator.secret), "s3", "us-east-1").add_auth(request)
    with requests.Session() as session:
        session.trust_env = False
        assert session.patch(url, headers=dict(request.headers), timeout=PATIENCE_SECONDS).status_code == 500
    logged = [record.getMessage() for record in caplog.records if record.name == "sandbox.aws"]
    assert logged == [f"PATCH /{bucket}: 500"]
    assert "in-query" not in caplog.text


@pytest.mark.sandbox
def test_every_request_is_in_a_log_of_its_own_without_a_value_of_its_query(
    cloud_process: CloudProcess, administrator: Callable[[str], Any]
) -> None:
    s3 = administrator("s3")
    s3.create_bucket(Bucket="logged")
    s3.put_object(Bucket="logged", Key="some/key", Body=b"x")
    s3.list_objects_v2(Bucket="logged", Prefix="some/")
    account, url = cloud_process.account(), f"{cloud_process.layout.cloud_url}/logged/some/key"
    request = AWSRequest("GET", url)
    credentials = Credentials(account.access_key_id, account.secret_access_key)
    S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=60).add_auth(request)
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(str(request.url), timeout=10).content == b"x"
    lines = (cloud_process.layout.logs / "aws-requests.log").read_text().splitlines()
    logged = [line.split()[1:6] for line in lines if " /logged" in line]
    assert logged[:3] == [
        ["PUT", "/logged", "-", "200", "header"],
        ["PUT", "/logged/some/key", "-", "200", "header"],
        ["GET", "/logged", "list-type,prefix=some/,encoding-type", "200", "header"],
    ]
    (presigned,) = logged[3:]
    assert (presigned[:2], presigned[3:]) == (["GET", "/logged/some/key"], ["200", "presigned"])
    assert "Signature" in presigned[2]
    assert str(request.url).rpartition("=")[2] not in "\n".join(lines)


@pytest.mark.sandbox
def test_the_account_is_its_owners_only_and_its_administrator_may_do_anything(
    cloud_process: CloudProcess, administrator: Callable[[str], Any]
) -> None:
    assert stat.S_IMODE(cloud_process.layout.account_file.stat().st_mode) == 0o600
    assert administrator("iam").list_users()["Users"][0]["UserName"] == server.ADMINISTRATOR
    assert administrator("ec2").describe_vpcs()["Vpcs"]


@pytest.mark.sandbox
def test_nothing_is_free_once_the_account_is_there(cloud_process: CloudProcess) -> None:
    for service, operation in (("iam", "list_users"), ("s3", "list_buckets"), ("ec2", "describe_vpcs")):
        with pytest.raises(ClientError, match=r"InvalidClientTokenId|InvalidAccessKeyId|AuthFailure"):
            getattr(server.client(service, cloud_process.layout.cloud_url, "nobody", "nothing"), operation)()


@pytest.mark.sandbox
def test_the_account_has_the_sandboxs_cluster_and_a_provider_for_its_issuer(
    cloud_process: CloudProcess, administrator: Callable[[str], Any]
) -> None:
    layout = cloud_process.layout
    cluster = administrator("eks").describe_cluster(name="sandbox")["cluster"]
    assert cluster["identity"]["oidc"]["issuer"] == layout.service_account_issuer
    assert re.fullmatch(r"https://oidc\.eks\.us-east-1\.amazonaws\.com/id/[0-9A-F]{32}", layout.service_account_issuer)
    authority = base64.b64decode(cluster["certificateAuthority"]["data"])
    assert (cluster["endpoint"], authority) == (layout.kubernetes_url, layout.authority_certificate.read_bytes())
    network = cluster["resourcesVpcConfig"]
    assert (network["vpcId"], network["subnetIds"]) == (
        cloud_process.account().vpc_id,
        [cloud_process.account().subnet_id],
    )
    iam = administrator("iam")
    (provider,) = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
    assert found["Url"] == layout.service_account_issuer.removeprefix("https://")
    assert found["ClientIDList"] == ["sts.amazonaws.com"]


@pytest.mark.sandbox
def test_the_cloud_controller_finds_a_public_subnet_and_the_node(
    cloud_process: CloudProcess, administrator: Callable[[str], Any]
) -> None:
    account = cloud_process.account()
    ec2 = administrator("ec2")
    instance = ec2.describe_instances(InstanceIds=[account.instance_id])["Reservations"][0]["Instances"][0]
    assert (instance["PrivateDnsName"], instance["PrivateIpAddress"]) == (account.private_dns_name, account.private_ip)
    assert (instance["VpcId"], instance["SubnetId"]) == (account.vpc_id, account.subnet_id)
    assert (instance["State"]["Name"], instance["Placement"]["AvailabilityZone"]) == ("running", "us-east-1a")
    subnet = ec2.describe_subnets(SubnetIds=[account.subnet_id])["Subnets"][0]
    group = ec2.describe_security_groups(GroupIds=[instance["SecurityGroups"][0]["GroupId"]])["SecurityGroups"][0]
    for resource in (instance, subnet, group):
        assert {"Key": "kubernetes.io/cluster/sandbox", "Value": "owned"} in resource["Tags"]
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [account.vpc_id]}])["RouteTables"]
    assert [table["Associations"][0]["Main"] for table in tables] == [True]
    gateways = {route["DestinationCidrBlock"]: route.get("GatewayId", "") for route in tables[0]["Routes"]}
    assert gateways["0.0.0.0/0"].startswith("igw-")


@pytest.mark.sandbox
def test_the_domains_zone_is_public(cloud_process: CloudProcess, administrator: Callable[[str], Any]) -> None:
    zones = administrator("route53").list_hosted_zones()["HostedZones"]
    assert [(zone["Name"], zone["Config"]["PrivateZone"]) for zone in zones] == [("sandbox.test.", False)]
    assert zones[0]["Id"] == f"/hostedzone/{cloud_process.account().zone_id}"


@pytest.mark.sandbox
def test_sigterm_ends_the_cloud_and_a_new_one_starts_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    layout = Layout(name="test-cloud-ends", network=networks.OTHER_CLOUD)
    keys, authorities = [], []
    for _ in range(2):
        with running_cloud(layout, tmp_path / "aws.log") as process:
            keys.append(process.account().secret_access_key)
            authorities.append(layout.authority_certificate.read_bytes())
            assert process.end() == 0
        assert not layout.account_file.exists()
        assert not accepts(layout.cloud_url)
        assert not accepts(layout.cloud_tls_url)
    assert keys[0] != keys[1]
    assert authorities[0] == authorities[1]
    log = (tmp_path / "aws.log").read_text()
    assert f"is ready on http://127.{networks.OTHER_CLOUD}.0.1:4566" in log
    assert not [key for key in keys if key in log]


@pytest.mark.sandbox
def test_an_account_left_by_a_killed_cloud_is_not_taken_for_a_ready_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    layout = Layout(name="test-cloud-killed", network=networks.OTHER_CLOUD)
    with running_cloud(layout, tmp_path / "aws.log") as process:
        left = process.account()
        process.popen.kill()
        process.popen.wait()
    assert layout.account_file.exists()
    with running_cloud(layout, tmp_path / "aws.log") as process:
        wait_for(lambda: accepts(layout.cloud_url), "listening socket")
        assert process.account().access_key_id != left.access_key_id
        assert process.end() == 0
