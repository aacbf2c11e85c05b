"""AssumeRoleWithWebIdentity: which tokens of ServiceAccounts give credentials of which roles."""

from __future__ import annotations

import datetime
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import RSAKey
from moto.sts.models import sts_backends

from tests.sandbox.aws.emulated_aws import EmulatedAws
from tests.sandbox.aws.service_accounts import NAMESPACE, PODS, STS, EksCluster, new_role, policy, web_identity
from tests.sandbox.aws.test_access_control import allow, error
from tests.sandbox.aws.test_accounts import client
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def cluster(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> EksCluster:
    return EksCluster(aws, tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def role(aws: EmulatedAws, cluster: EksCluster) -> str:
    """A role for exactly one ServiceAccount, which may list buckets."""
    return new_role(aws, cluster.web_identity_trust(), allow("s3:ListAllMyBuckets", "*"))


def refusal(aws: EmulatedAws, role: str, token: str, **arguments: Any) -> tuple[str, str, int]:
    """The error code, message and status of a refused token."""
    with pytest.raises(ClientError) as refused:
        web_identity(aws)(role, token, **arguments)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


NOT_AUTHORIZED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)


def test_a_token_of_the_service_account_gives_the_roles_rights_and_no_others(
    aws: EmulatedAws, cluster: EksCluster, role: str
) -> None:
    assumed = web_identity(aws)(role, cluster.token(STS))
    assert assumed["SubjectFromWebIdentityToken"] == "system:serviceaccount:kube-system:kube-registry"
    assert (assumed["Audience"], assumed["Provider"]) == (STS, cluster.provider)
    s3 = client(aws, "s3", assumed["Credentials"])
    assert error(s3.list_buckets) == ""
    assert error(s3.create_bucket, Bucket=f"not-{uuid.uuid4().hex[:8]}") == "AccessDenied"
    assert client(aws, "sts", assumed["Credentials"]).get_caller_identity()["Arn"] == assumed["AssumedRoleUser"]["Arn"]


def test_another_audience_is_refused(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    for audience in (PODS, "https://kubernetes.default.svc", cluster.issuer):
        expected = ("InvalidIdentityToken", "Incorrect token audience", 400)
        assert refusal(aws, role, cluster.token(audience)) == expected


def test_another_service_account_or_namespace_is_denied(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    assert refusal(aws, role, cluster.token(STS, service_account="default")) == NOT_AUTHORIZED
    assert refusal(aws, role, cluster.token(STS, namespace="default")) == NOT_AUTHORIZED


def test_a_role_that_trusts_another_audience_or_provider_or_none_is_denied(
    aws: EmulatedAws, cluster: EksCluster, tmp_path: Path
) -> None:
    trusts = [
        cluster.web_identity_trust(**{cluster.audience_key: "other"}),
        EksCluster(aws, tmp_path).web_identity_trust(),
        {**cluster.web_identity_trust(), "Principal": {"AWS": "*"}},
        {**cluster.web_identity_trust(), "Action": "sts:AssumeRole"},
        cluster.pod_identity_trust(),
    ]
    for trust in trusts:
        assert refusal(aws, new_role(aws, trust), cluster.token(STS)) == NOT_AUTHORIZED
    assert refusal(aws, "arn:aws:iam::123456789012:role/no-such", cluster.token(STS)) == NOT_AUTHORIZED


def test_a_token_by_another_clusters_key_is_refused(
    aws: EmulatedAws, cluster: EksCluster, role: str, tmp_path: Path
) -> None:
    other = EksCluster(aws, tmp_path)
    forged = [cluster.token(STS, key=other.key), cluster.token(STS, key=RSAKey.generate_key(2048))]
    for token in forged:
        code, message, status = refusal(aws, role, token)
        assert (code, status) == ("InvalidIdentityToken", 400)
        assert message.startswith("Couldn't retrieve verification key from your identity provider")
    assert refusal(aws, role, other.token(STS)) == NOT_AUTHORIZED  # the role trusts the other provider only


def test_an_expired_token_is_refused(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    code, message, status = refusal(aws, role, cluster.token(STS, seconds=-1))
    assert (code, status) == ("ExpiredTokenException", 400)
    assert re.fullmatch(r"Token expired: current date/time \d+ must be before the expiration date/time \d+", message)


def test_what_is_no_token_is_refused(aws: EmulatedAws, role: str) -> None:
    for token in ("no-token", "a.b.c", "bnVsbA.bnVsbA.bnVsbA"):
        code, message, _ = refusal(aws, role, token)
        assert (code, message.split(".")[0]) == ("InvalidIdentityToken", "The ID Token provided is not a valid JWT")


def test_an_issuer_without_a_provider_is_refused(aws: EmulatedAws, tmp_path: Path) -> None:
    cluster = EksCluster(aws, tmp_path)
    role = new_role(aws, cluster.web_identity_trust())
    assert web_identity(aws)(role, cluster.token(STS))["Credentials"]
    aws.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=cluster.provider)
    message = f"No OpenIDConnect provider found in your account for {cluster.issuer}"
    assert refusal(aws, role, cluster.token(STS)) == ("InvalidIdentityToken", message, 400)


def test_the_session_has_a_name_a_duration_and_an_end(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    token = cluster.token(STS)
    assert refusal(aws, role, token, RoleSessionName="with space")[0] == "ValidationError"
    assert refusal(aws, role, token, DurationSeconds=3601)[0] == "ValidationError"
    credentials = web_identity(aws)(role, token, DurationSeconds=900)["Credentials"]
    left = credentials["Expiration"] - datetime.datetime.now(datetime.UTC)
    assert 0 < left.total_seconds() <= 900
    made = sts_backends["123456789012"]["aws"].get_assumed_role_from_access_key(credentials["AccessKeyId"])
    assert made
    made.expiration -= datetime.timedelta(hours=1)
    assert error(client(aws, "s3", credentials).list_buckets) == "ExpiredToken"


def test_a_policy_of_the_sessions_own_narrows_it(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    narrow = policy(allow("s3:ListBucket", "*"))
    credentials = web_identity(aws)(role, cluster.token(STS), Policy=narrow)["Credentials"]
    assert error(client(aws, "s3", credentials).list_buckets) == "AccessDenied"


def test_a_denial_in_the_trust_wins(aws: EmulatedAws, cluster: EksCluster) -> None:
    denial = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRoleWithWebIdentity"}
    role = new_role(aws, cluster.web_identity_trust())
    both = policy(cluster.web_identity_trust(), denial)
    aws.client("iam").update_assume_role_policy(RoleName=role.rpartition("/")[2], PolicyDocument=both)
    assert refusal(aws, role, cluster.token(STS)) == NOT_AUTHORIZED


def test_a_signed_token_that_is_not_of_a_service_account_is_refused(
    aws: EmulatedAws, cluster: EksCluster, role: str
) -> None:
    claims = {"iss": cluster.issuer, "sub": "system:serviceaccount:kube-system:kube-registry", "aud": [STS]}
    for token in (jwt.encode({"alg": "RS256"}, claims, cluster.key), cluster.unsigned(STS)):
        assert refusal(aws, role, token)[0] == "InvalidIdentityToken"


@pytest.mark.parametrize(
    "form",
    [
        {"Action": "GetCallerIdentity"},
        {"Action": "AssumeRole", "RoleArn": f"arn:aws:iam::123456789012:role/{NAMESPACE}"},
        {"Action": ["AssumeRole", "AssumeRoleWithWebIdentity"]},
        {},
    ],
)
def test_no_other_request_goes_without_a_signature(aws: EmulatedAws, form: dict[str, Any]) -> None:
    with requests.Session() as session:
        session.trust_env = False
        assert session.post(aws.url, data=form, timeout=PATIENCE_SECONDS).status_code == 403
