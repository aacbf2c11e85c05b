"""The API server's own tokens, with which pods get credentials of the emulated AWS."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox import processes
from sandbox.aws import server
from sandbox.cluster.control_plane import Cluster
from sandbox.layout import CLUSTER_NAME, REGION, Layout
from sandbox.tools.build import Toolchain
from tests import networks
from tests.sandbox.aws.emulated_aws import running_cloud
from tests.sandbox.aws.service_accounts import PODS, STS, policy

pytestmark = pytest.mark.sandbox

Token = Callable[[str, str], str]


@pytest.fixture(scope="module")
def cluster(tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """The emulated AWS and a control plane, without a node."""
    layout = Layout(name="tokens", network=networks.OTHER_CLOUD)
    with running_cloud(layout, tmp_path_factory.mktemp("logs") / "aws.log") as cloud:
        try:
            Cluster(layout, tools.binaries).start()
            cloud.account()
            yield layout
        finally:
            processes.stop(layout)


@pytest.fixture(scope="module")
def token(cluster: Layout, tools: Toolchain) -> Token:
    """Asks the API server for the token of a pod of a ServiceAccount, both of which are made, for an audience."""

    def kubectl(*arguments: str) -> str:
        command = [str(tools.binaries / "kubectl"), f"--kubeconfig={cluster.kubeconfig}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or "already exists" in done.stderr, done.stderr
        return done.stdout.strip()

    def make(name: str, audience: str) -> str:
        kubectl("create", "serviceaccount", name)
        account = f'{{"spec": {{"serviceAccountName": "{name}"}}}}'
        kubectl("run", f"{name}-pod", "--image=none", f"--overrides={account}")  # there is no node to run it
        pod = ("--bound-object-kind=Pod", f"--bound-object-name={name}-pod")
        return kubectl("create", "token", name, f"--audience={audience}", "--duration=10m", *pod)

    return make


@pytest.fixture(scope="module")
def administrator(cluster: Layout) -> Callable[[str], Any]:
    url, account = cluster.cloud_url, server.Account.load(cluster.account_file)
    return lambda service: server.client(service, url, account.access_key_id, account.secret_access_key)


def code(call: Callable[..., Any], **arguments: Any) -> str:
    """The error code that `call` fails with, or ""."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def test_pods_get_credentials_by_web_identity_of_their_own_role_only(
    cluster: Layout, token: Token, administrator: Callable[[str], Any]
) -> None:
    (provider,) = administrator("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    issuer = administrator("eks").describe_cluster(name=CLUSTER_NAME)["cluster"]["identity"]["oidc"]["issuer"]
    name = issuer.removeprefix("https://")
    equals = {f"{name}:aud": STS, f"{name}:sub": "system:serviceaccount:default:registry"}
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider["Arn"]},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": equals},
    }
    role = administrator("iam").create_role(RoleName="registry", AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    config = Config(signature_version=UNSIGNED, proxies={}, retries={"total_max_attempts": 1})
    sts = boto3.client("sts", endpoint_url=cluster.cloud_url, region_name=REGION, config=config)

    def outcome(of: str, audience: str = STS) -> str:
        call = sts.assume_role_with_web_identity
        return code(call, RoleArn=role, RoleSessionName="registry", WebIdentityToken=token(of, audience))

    assert outcome("registry") == ""
    assert outcome("other") == "AccessDenied"
    assert outcome("registry", PODS) == outcome("registry", issuer) == "InvalidIdentityToken"


def test_pods_get_credentials_by_pod_identity_of_the_associated_role_only(
    cluster: Layout, token: Token, administrator: Callable[[str], Any]
) -> None:
    equals = {"aws:RequestTag/kubernetes-pod-name": "pods-pod", "aws:RequestTag/kubernetes-service-account": "pods"}
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": PODS},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": equals},
    }
    made = administrator("iam").create_role(RoleName="pods", AssumeRolePolicyDocument=policy(trust))
    role = made["Role"]["Arn"]
    call = administrator("eks-auth").assume_role_for_pod_identity

    def outcome(of: str, audience: str = PODS) -> str:
        return code(call, clusterName=CLUSTER_NAME, token=token(of, audience))

    assert outcome("pods") == "ResourceNotFoundException"
    administrator("eks").create_pod_identity_association(
        clusterName=CLUSTER_NAME, namespace="default", serviceAccount="pods", roleArn=role
    )
    assert outcome("pods") == ""
    assert outcome("other") == "ResourceNotFoundException"
    assert outcome("pods", STS) == "InvalidTokenException"
