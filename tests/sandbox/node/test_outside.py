"""What a pod reaches by name: a container with this Python looks from inside of a pod's network."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import botocore
import pytest

from sandbox import service_hosts
from sandbox.layout import POD_IDENTITY_AGENT_PORT, REGION, Layout
from sandbox.node import outside
from sandbox.node.cri.container_spec import resolv_conf
from sandbox.node.cri.stubs import api_pb2 as cri
from sandbox.node.images import CA_BUNDLE
from sandbox.node.network_policy.address_ranges import EVERYBODY
from sandbox.node.network_policy.rules import Rule, Rules
from sandbox.node.pod_network import PodNetwork
from sandbox.node.runtime.container import Container, ContainerSpec, Mount
from sandbox.pod_identity_agent.agent import EksAuth, application
from tests import networks
from tests.sandbox.account import ACCOUNT
from tests.sandbox.aws.emulated_aws import EmulatedAws
from tests.sandbox.pod_identity_agent.eks_auth import granted, running_eks_auth, served, token
from tests.waiting import PATIENCE_SECONDS

POD_IP = f"10.{networks.PODS}.2.1"
PYTHON = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
LIBRARIES = [
    Mount(path, str(path), True) for path in map(Path, ("/usr", "/lib", "/lib64", sys.base_prefix)) if path.exists()
]
SEARCHES = ["kube-system.svc.cluster.local", "svc.cluster.local", "cluster.local"]
"""What the kubelet writes for a pod of kube-system."""

LAYOUT = Layout(name="in-process", network=networks.CLOUD_IN_PROCESS)
"""Of the emulated AWS in the tests' own process."""

AGENT_URI = "http://169.254.170.23/v1/credentials"
PACKAGES = "/packages"
TOKEN_FILE = "/token"

LOOK = """
import json, socket, sys
def found(name):
    try:
        return sorted({one[4][0] for one in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)})
    except socket.gaierror as error:
        return error.errno
print(json.dumps({name: found(name) for name in sys.argv[1:]}), flush=True)
"""
LOOK_AND_CONNECT = """
import json, socket, sys
try:
    found = sorted({one[4][0] for one in socket.getaddrinfo(sys.argv[1], 443, type=socket.SOCK_STREAM)})
except socket.gaierror as error:
    found = error.errno
try:
    socket.create_connection(('172.20.0.10', 53), timeout=1)
    connected = 'connected'
except OSError as error:
    connected = str(error)
print(json.dumps([found, connected]), flush=True)
"""
WRITE_AND_READ = """
import json, sys, boto3
bucket, = sys.argv[1:]
s3 = boto3.client('s3')
s3.put_object(Bucket=bucket, Key='a/b', Body=b'a blob')
print(json.dumps([s3.get_object(Bucket=bucket, Key='a/b')['Body'].read().decode(),
                  boto3.client('sts').get_caller_identity()['Arn']]), flush=True)
"""


async def run_in_pod(
    directory: Path,
    program: str,
    *arguments: str,
    environment: dict[str, str] | None = None,
    options: Sequence[str] = ("ndots:5",),
    mounts: Sequence[Mount] = (),
    rules: Rules | None = None,
) -> Any:
    """The JSON that a Python program prints, in a container of a pod as the node makes them."""
    (directory / "image").mkdir()
    dns = cri.DNSConfig(servers=[outside.NAME_SERVICE.address], searches=SEARCHES, options=options)
    spec = ContainerSpec(
        image=directory / "image",
        argv=[PYTHON, "-c", program, *arguments],
        environment={"LANG": "C.UTF-8"} | (environment or {}),
        hostname="web",
        pod_ip=POD_IP,
        name_resolution=resolv_conf(dns),
        mounts=[Mount(LAYOUT.authority_certificate, CA_BUNDLE, read_only=True), *LIBRARIES, *mounts],
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        network = await PodNetwork.open(
            hostname="web",
            addresses=[POD_IP, *outside.ADDRESSES],
            ports={},
            egress=outside.egress(LAYOUT),
            name_service=outside.NAME_SERVICE,
        )
        try:
            if rules:
                await network.enforce(rules)
                (await network.socket()).close()  # it is heard after the rules
            log = directory / "log"
            fd = os.open(log, os.O_CREAT | os.O_WRONLY)
            container = await Container.start(spec, network.namespaces, directory / "stage", (fd, fd))
            os.close(fd)
            assert await container.wait() == 0, log.read_text()
            return json.loads(log.read_text())
        finally:
            await network.close()


@pytest.mark.sandbox
@pytest.mark.parametrize("options", [("ndots:5",), ("ndots:5", "use-vc")], ids=["udp", "tcp"])
def test_a_pod_resolves_names_of_aws_and_of_the_api_server_and_no_others(
    tmp_path: Path, options: tuple[str, ...], aws: EmulatedAws
) -> None:
    names = {
        "sts.us-east-1.amazonaws.com": [service_hosts.ADDRESS],
        "images.s3.eu-central-1.amazonaws.com": [service_hosts.ADDRESS],
        "kubernetes.default": [outside.API_SERVER[0]],
        "registry.sandbox.test": socket.EAI_NONAME,
    }
    assert asyncio.run(run_in_pod(tmp_path, LOOK, *names, options=options)) == names


@pytest.mark.sandbox
@pytest.mark.parametrize("port", [53, 443])
def test_a_pod_resolves_names_only_if_its_policies_let_it(tmp_path: Path, aws: EmulatedAws, port: int) -> None:
    name = "sts.us-east-1.amazonaws.com"
    rules = Rules(egress=(Rule(EVERYBODY, None, port, port),))
    looked = run_in_pod(tmp_path, LOOK_AND_CONNECT, name, options=["timeout:1", "attempts:1"], rules=rules)
    allowed = [[service_hosts.ADDRESS], "connected"]
    assert asyncio.run(looked) == (allowed if port == 53 else [socket.EAI_AGAIN, "timed out"])


def test_an_sdk_in_a_pod_finds_a_roles_credentials_at_the_agent_and_its_bucket_by_name(
    tmp_path: Path, aws: EmulatedAws
) -> None:
    bucket, name = aws.new_bucket(), f"pod-{os.urandom(4).hex()}"
    role = pod_role(aws, name, bucket)
    mine = token()
    (tmp_path / "token").write_text(mine)

    def assume(_: str) -> dict[str, Any]:
        given = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="eks-sandbox-web")["Credentials"]
        return granted(
            given["AccessKeyId"], secretAccessKey=given["SecretAccessKey"], sessionToken=given["SessionToken"]
        )

    async def run() -> Any:
        async with (
            running_eks_auth() as eks_auth,
            served(application(EksAuth(eks_auth.url, ACCOUNT)), LAYOUT.address, POD_IDENTITY_AGENT_PORT),
        ):
            eks_auth.answer = assume
            try:
                return await run_in_pod(
                    tmp_path,
                    WRITE_AND_READ,
                    bucket,
                    environment={
                        "PYTHONPATH": PACKAGES,
                        "AWS_REGION": REGION,
                        "AWS_DEFAULT_REGION": REGION,
                        "AWS_CA_BUNDLE": CA_BUNDLE,
                        "AWS_CONTAINER_CREDENTIALS_FULL_URI": AGENT_URI,
                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": TOKEN_FILE,
                    },
                    mounts=[
                        Mount(tmp_path / "token", TOKEN_FILE, read_only=True),
                        Mount(Path(botocore.__file__).parents[1], PACKAGES, read_only=True),
                    ],
                )
            finally:
                assert {asked for _, asked in eks_auth.asked} == {mine}

    content, arn = asyncio.run(run())
    assert content == "a blob"
    assert arn.endswith(f":assumed-role/{name}/eks-sandbox-web")


def pod_role(aws: EmulatedAws, name: str, bucket: str) -> str:
    """The ARN of a new role that may use the objects of `bucket`."""
    iam, principal = aws.client("iam"), {"AWS": "arn:aws:iam::123456789012:root"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    own = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/*"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=document(own))
    return made["Arn"]


def document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
