"""Roles of pods: whom they trust, and what becomes of a registry when tokens and sessions end."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import RSAKey

from registry import storage_check
from sandbox.layout import CLUSTER_NAME, REGION
from tests.end_to_end.changing import client, pulling, pushing
from tests.end_to_end.identities import AS_ON_AWS, IDENTITIES, pods_of
from tests.end_to_end.load_balancers import Cluster
from tests.end_to_end.registry_client import OCI_MANIFEST
from tests.end_to_end.registry_stack import RegistryStack, Sandbox
from tests.waiting import PATIENCE_SECONDS, wait_for

pytestmark = pytest.mark.matrix

STS, PODS = "sts.amazonaws.com", "pods.eks.amazonaws.com"
AUDIENCES = {"irsa": STS, "pod-identity": PODS}
TOKEN_SECONDS = 600
"""The shortest that the API server gives a pod a token for; the kubelet renews it after four fifths."""
SESSION_SECONDS = 650
"""A session outlives the token that it was begun by: the next one needs the token's successor."""
SESSIONS = 2
"""How many may end while a test waits for the next one: a URL that was signed at the end of each may be over."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Cluster(longest_session=SESSION_SECONDS).running() as running:
        yield running


@pytest.fixture(scope="module")
def stacks(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RegistryStack]]:
    """A registry of one pod by each kind of role."""
    made = {name: RegistryStack(sandbox, name, tmp_path_factory.mktemp(name)) for name in AUDIENCES}
    for name, stack in made.items():
        stack.up(replicas=1, **AS_ON_AWS, **IDENTITIES[name])
    yield made
    for stack in made.values():
        stack.remove()


class Tokens:
    """Tokens of the API server for whoever might want the role of a stack."""

    def __init__(self, stack: RegistryStack, audience: str) -> None:
        self._kubectl, self._namespace, self._audience = stack.sandbox.kubectl, stack.name, audience
        self._key = stack.sandbox.layout.service_account_public_key.with_suffix(".key")
        (pod,) = pods_of(stack)
        self._pod = ("--bound-object-kind=Pod", f"--bound-object-name={pod}")

    def of_the_pod(self, audience: str = "") -> str:
        """As the kubelet asks for it."""
        return self._token("kube-registry", self._namespace, *self._pod, audience=audience)

    def for_another_audience(self) -> str:
        return self.of_the_pod(STS if self._audience == PODS else PODS)

    def of_another_service_account(self) -> str:
        return self._token("default", self._namespace)

    def of_another_namespace(self) -> str:
        """Of a ServiceAccount of the same name."""
        return self._token("kube-registry", "elsewhere")

    def of_another_cluster(self) -> str:
        """With the same claims, signed by another key."""
        return jwt.encode({"alg": "RS256"}, self._claims(), RSAKey.generate_key(2048))

    def that_has_ended(self) -> str:
        claims = self._claims() | {"exp": int(time.time()) - 1}
        return jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(self._key.read_bytes()))

    def _claims(self) -> dict[str, Any]:
        payload = self.of_the_pod().split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    def _token(self, account: str, namespace: str, *bound: str, audience: str = "") -> str:
        asked = ("--namespace", namespace, f"--audience={audience or self._audience}", "--duration=10m")
        return self._kubectl("create", "token", account, *asked, *bound).strip()


@pytest.fixture(scope="module")
def elsewhere(sandbox: Sandbox) -> Iterator[str]:
    """A namespace that has a ServiceAccount of the registry's name."""
    sandbox.kubectl("create", "namespace", "elsewhere")
    sandbox.kubectl("create", "serviceaccount", "kube-registry", "--namespace=elsewhere")
    yield "elsewhere"
    sandbox.kubectl("delete", "namespace", "elsewhere", "--wait=false")


def role_of(stack: RegistryStack) -> str:
    """The ARN of the stack's role."""
    (role,) = [one["outputs"]["arn"] for one in stack.state() if one["type"] == "aws:iam/role:Role"]
    return role


def outcome(call: Callable[..., Any], **arguments: Any) -> str:
    """The error code that `call` fails with, or ""."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


@pytest.mark.usefixtures("elsewhere")
def test_the_role_of_irsa_is_for_the_pods_of_the_registry_alone(stacks: dict[str, RegistryStack]) -> None:
    stack = stacks["irsa"]
    layout, role, tokens = stack.sandbox.layout, role_of(stack), Tokens(stack, STS)
    config = Config(signature_version=UNSIGNED, proxies={}, retries={"total_max_attempts": 1})
    url, authority = layout.cloud_tls_url, str(layout.authority_certificate)
    sts = boto3.client("sts", endpoint_url=url, verify=authority, region_name=REGION, config=config)

    def of(token: str) -> str:
        call = sts.assume_role_with_web_identity
        return outcome(call, RoleArn=role, RoleSessionName="somebody", WebIdentityToken=token)

    assert of(tokens.of_the_pod()) == ""
    assert of(tokens.for_another_audience()) == "InvalidIdentityToken"
    assert of(tokens.of_another_service_account()) == "AccessDenied"
    assert of(tokens.of_another_namespace()) == "AccessDenied"
    assert of(tokens.of_another_cluster()) == "InvalidIdentityToken"
    assert of(tokens.that_has_ended()) == "ExpiredTokenException"


def test_the_role_of_pod_identity_is_for_the_pods_of_the_registry_alone(
    stacks: dict[str, RegistryStack], elsewhere: str
) -> None:
    stack = stacks["pod-identity"]
    tokens, eks = Tokens(stack, PODS), stack.sandbox.aws("eks")
    call = stack.sandbox.aws("eks-auth").assume_role_for_pod_identity

    def of(token: str) -> str:
        return outcome(call, clusterName=CLUSTER_NAME, token=token)

    assert of(tokens.of_the_pod()) == ""
    assert of(tokens.for_another_audience()) == "InvalidTokenException"
    assert of(tokens.of_another_service_account()) == "ResourceNotFoundException"
    assert of(tokens.of_another_namespace()) == "ResourceNotFoundException"
    assert of(tokens.of_another_cluster()) == "InvalidTokenException"
    assert of(tokens.that_has_ended()) == "ExpiredTokenException"
    stranger = {"clusterName": CLUSTER_NAME, "namespace": elsewhere, "serviceAccount": "kube-registry"}
    made = eks.create_pod_identity_association(**stranger, roleArn=role_of(stack))["association"]["associationId"]
    assert of(tokens.of_another_namespace()) == "AccessDeniedException"  # by the role's trust
    eks.delete_pod_identity_association(clusterName=CLUSTER_NAME, associationId=made)


def test_without_the_agents_policy_new_pods_get_no_role_and_the_former_serve_on(
    stacks: dict[str, RegistryStack],
) -> None:
    stack = stacks["pod-identity"]
    scope = ("--namespace", stack.name)
    former, user = pods_of(stack), client(stack)
    digest = user.push("steady", "1", b"whoever the registry is")
    stack.sandbox.kubectl("delete", "networkpolicy", "kube-registry-pod-identity-agent", *scope)
    stack.sandbox.kubectl("rollout", "restart", "deployment/kube-registry", *scope)
    refusal = wait_for(lambda: refused_check(stack), "pod that gets no credentials", 3 * PATIENCE_SECONDS)
    assert refusal and "no credentials: NoCredentialProviders" in refusal
    assert user.pull("steady", "1") == digest
    assert former < {pod["metadata"]["name"] for pod in stack.pods()}
    stack.up(refresh=True, replicas=1, **AS_ON_AWS, **IDENTITIES["pod-identity"])
    assert not pods_of(stack) & former
    assert user.pull("steady", "1") == digest


def refused_check(stack: RegistryStack) -> str | None:
    """What the newest pod's storage check said that has failed."""
    said = storage_check.failure(stack.pods())
    return None if said is None or "does not answer" in said else said


def test_pulls_and_pushes_go_on_when_the_kubelet_has_renewed_the_token(stacks: dict[str, RegistryStack]) -> None:
    """Both registries at once: until their first tokens have ended, and sessions follow that need the next ones."""
    with contextlib.ExitStack() as running:
        watched = [
            running.enter_context(Renewal(stack, volume).begun())
            for stack, volume in zip(stacks.values(), ("aws-iam-token", "eks-pod-identity-token"), strict=True)
        ]
        for one in watched:
            wait_for(one.is_over, "session by a renewed token", TOKEN_SECONDS + SESSION_SECONDS + PATIENCE_SECONDS)
    for one in watched:
        assert one.unexplained == []
        assert len(one.cut_short) <= SESSIONS
        assert (one.pulls.count > 1, one.pushes.count > 1) == (True, True)


class Renewal:
    """A registry whose pod has a token that ends soon, and the clients that use it meanwhile."""

    def __init__(self, stack: RegistryStack, volume: str) -> None:
        self._stack, self._volume = stack, volume
        self._user = client(stack)

    @contextlib.contextmanager
    def begun(self) -> Iterator[Renewal]:
        """Give the pod a short token, and pull and push."""
        former = pods_of(self._stack)
        self._patch("deployment/kube-registry", self._short_lived())
        wait_for(lambda: not pods_of(self._stack) & former, "pod with another token")
        self._user.push("steady", "1", b"whoever the registry is")
        self._ended = time.time() + TOKEN_SECONDS
        self._first = self._session()
        with pulling(self._user) as self.pulls, pushing(self._user) as self.pushes:
            yield self

    def is_over(self) -> bool:
        """Whether the first token has ended, and the registry acts by another session than by that."""
        return time.time() > self._ended and self._session() != self._first

    @property
    def cut_short(self) -> list[str]:
        """Pulls by a URL that was signed at the very end of a session, and followed after it."""
        signed = re.compile(r"400 Client Error: .+ for url: https://[^/]+\.s3\.")
        return [one for one in self.pulls.failures if signed.search(one)]

    @property
    def unexplained(self) -> list[str]:
        """All else that failed."""
        return [one for one in (*self.pulls.failures, *self.pushes.failures) if one not in self.cut_short]

    def _session(self) -> str:
        """The id of the key by which the registry signs URLs."""
        config = json.loads(self._user.fetch("/v2/steady/manifests/1", headers={"Accept": OCI_MANIFEST}))["config"]
        answer = self._user.request("GET", f"/v2/steady/blobs/{config['digest']}")
        (credential,) = parse_qs(urlsplit(answer.headers["Location"]).query)["X-Amz-Credential"]
        return credential.partition("/")[0]

    def _short_lived(self) -> list[dict[str, Any]]:
        deployment = self._stack.sandbox.get("deployment", "kube-registry", "--namespace", self._stack.name)
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        index = [volume["name"] for volume in volumes].index(self._volume)
        path = f"/spec/template/spec/volumes/{index}/projected/sources/0/serviceAccountToken/expirationSeconds"
        return [{"op": "replace", "path": path, "value": TOKEN_SECONDS}]

    def _patch(self, what: str, patch: list[dict[str, Any]]) -> None:
        scope = ("--namespace", self._stack.name, "--type=json")
        self._stack.sandbox.kubectl("patch", what, *scope, f"--patch={json.dumps(patch)}")
