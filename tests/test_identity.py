"""Who the registry is to AWS."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry.policies import pod_identity_trust_policy, registry_policy, web_identity_trust_policy
from registry.settings import SettingsError
from tests.mock_engine import CLUSTER_ARN, ISSUER, OIDC_PROVIDER, Deploy

BOUNDARY = "arn:aws:iam::111122223333:policy/boundary"
IRSA = {"identity": "irsa", "oidcProviderArn": OIDC_PROVIDER}
POD_IDENTITY = {"identity": "podIdentity", "cluster": "production"}
ROLES = pytest.mark.parametrize("settings", [IRSA, POD_IDENTITY], ids=["irsa", "podIdentity"])


def test_an_iam_user_may_use_the_one_bucket(deploy: Deploy) -> None:
    policy = deploy(bucket={"name": "images"}).one("UserPolicy")
    assert policy["user"] == "registry-user-1a2b3c4"
    assert json.loads(policy["policy"]) == registry_policy("arn:aws:s3:::images", kms_key_arn=None)


def test_the_user_may_also_use_the_buckets_kms_key(deploy: Deploy) -> None:
    key = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"
    policy = deploy(bucket={"name": "images", "kmsKeyArn": key}).one("UserPolicy")
    assert json.loads(policy["policy"]) == registry_policy("arn:aws:s3:::images", kms_key_arn=key)


def test_the_access_key_is_that_users(deploy: Deploy) -> None:
    assert deploy().one("AccessKey")["user"] == "registry-user-1a2b3c4"


@ROLES
def test_a_role_may_do_what_the_user_may_and_there_is_no_key(deploy: Deploy, settings: dict[str, Any]) -> None:
    deployed = deploy(bucket={"name": "images"}, **settings)
    policy = deployed.one("RolePolicy")
    assert json.loads(policy["policy"]) == registry_policy("arn:aws:s3:::images", kms_key_arn=None)
    assert {"User", "UserPolicy", "AccessKey"}.isdisjoint(
        resource.type.rpartition(":")[2] for resource in deployed.engine.resources
    )
    secrets = [secret.inputs["stringData"].keys() for secret in deployed.all("Secret")]
    assert all({"accessKey", "secretKey"}.isdisjoint(keys) for keys in secrets)
    assert [one for one in deployed.pod()["containers"][0]["env"] if "ACCESSKEY" in one["name"]] == []


def test_a_role_of_web_identity_trusts_one_service_account_by_the_clusters_provider(deploy: Deploy) -> None:
    role = deploy(namespace="images", **IRSA).one("Role")
    assert json.loads(role["assumeRolePolicy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": OIDC_PROVIDER},
                "Action": ["sts:AssumeRoleWithWebIdentity"],
                "Condition": {
                    "StringEquals": {
                        f"{ISSUER}:aud": "sts.amazonaws.com",
                        f"{ISSUER}:sub": "system:serviceaccount:images:kube-registry",
                    }
                },
            }
        ],
    }


def test_the_provider_is_found_by_the_clusters_name(deploy: Deploy) -> None:
    deployed = deploy(identity="irsa", cluster="production")
    expected = web_identity_trust_policy(OIDC_PROVIDER, "kube-system", "kube-registry")
    assert json.loads(deployed.one("Role")["assumeRolePolicy"]) == expected
    asked = dict(deployed.engine.calls)
    assert asked["aws:eks/getCluster:getCluster"] == {"name": "production"}
    assert asked["aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider"] == {"url": f"https://{ISSUER}"}


def test_a_role_of_pod_identity_is_given_to_one_service_account_of_the_cluster(deploy: Deploy) -> None:
    deployed = deploy(namespace="images", **POD_IDENTITY)
    trust = pod_identity_trust_policy(CLUSTER_ARN, "images", "kube-registry")
    assert json.loads(deployed.one("Role")["assumeRolePolicy"]) == trust
    (statement,) = trust["Statement"]
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert statement["Condition"]["StringEquals"]["aws:RequestTag/eks-cluster-arn"] == CLUSTER_ARN
    association = deployed.one("PodIdentityAssociation")
    names = ("clusterName", "namespace", "serviceAccount", "roleArn")
    (role,) = deployed.all("Role")
    assert [association[name] for name in names] == ["production", "images", "kube-registry", f"arn of {role.name}"]


@pytest.mark.parametrize(
    ("settings", "elsewhere"),
    [(IRSA, {"oidcProviderArn": f"{OIDC_PROVIDER}0"}), (POD_IDENTITY, {"cluster": "staging"})],
    ids=["irsa", "podIdentity"],
)
def test_a_role_of_another_cluster_or_namespace_is_another_one(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], elsewhere: dict[str, Any]
) -> None:
    """So pods that act by the former one do so until they are gone, whoever the new one trusts."""

    def made(**further: Any) -> set[str]:
        deployed = deploy(**{**settings, "namespace": "images", **further})
        return {one.name for kind in ("Role", "RolePolicy", "PodIdentityAssociation") for one in deployed.all(kind)}

    here = made()
    assert made() == here
    assert here.isdisjoint(made(namespace="pictures"))
    other = {"arn": f"{CLUSTER_ARN}-too", "identities": [], "kubernetesNetworkConfigs": []}
    monkeypatch.setattr("tests.mock_engine.AWS", {"getCluster": other})
    assert here.isdisjoint(made(**elsewhere))


def test_an_association_with_another_role_is_waited_for(deploy: Deploy) -> None:
    """EKS takes some seconds, in which pods would get the former one, and keep it for hours."""
    deployed = deploy(**POD_IDENTITY)
    (association,) = deployed.all("PodIdentityAssociation")
    assert "after_update" in deployed.options[association.name].hooks.values()


def test_pods_prove_who_they_are_without_a_webhook(deploy: Deploy) -> None:
    for settings, audience, name, value in (
        (IRSA, "sts.amazonaws.com", "AWS_ROLE_ARN", "arn of {role}"),
        (
            POD_IDENTITY,
            "pods.eks.amazonaws.com",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://169.254.170.23/v1/credentials",
        ),
    ):
        deployed = deploy(**settings)
        pod = deployed.pod()
        variables = {name: value.format(role=deployed.all("Role")[0].name), "AWS_EC2_METADATA_DISABLED": "true"}
        (source,) = [one["projected"]["sources"][0] for one in pod["volumes"] if "projected" in one]
        token = source["serviceAccountToken"]
        assert (token["audience"], token["expirationSeconds"]) == (audience, 3600)
        for container in (*pod["initContainers"], *pod["containers"]):
            env = {one["name"]: one.get("value") for one in container["env"]}
            assert env.items() >= variables.items()
            (file,) = [value for name, value in env.items() if name.endswith("TOKEN_FILE")]
            assert file in [f"{mount['mountPath']}/{token['path']}" for mount in container["volumeMounts"]]


@ROLES
def test_pods_wait_for_what_they_act_by(deploy: Deploy, settings: dict[str, Any]) -> None:
    deployed = deploy(**settings)
    needed = deployed.options["registry-deployment-kube-system"].depends_on
    made = {one.name for kind in ("RolePolicy", "PodIdentityAssociation") for one in deployed.all(kind)}
    assert made <= needed


@pytest.mark.parametrize("settings", [{}, IRSA, POD_IDENTITY], ids=["user", "irsa", "podIdentity"])
def test_boundary_path_and_tags_are_those_of_user_and_role(deploy: Deploy, settings: dict[str, Any]) -> None:
    deployed = deploy(permissionsBoundary=BOUNDARY, path="/platform/", tags={"team": "platform"}, **settings)
    made = deployed.one("User" if not settings else "Role")
    assert (made["permissionsBoundary"], made["path"]) == (BOUNDARY, "/platform/")
    assert made["tags"]["team"] == "platform"
    plain = deploy(**settings).one("User" if not settings else "Role")
    assert not plain.keys() & {"permissionsBoundary", "path"}


@pytest.mark.parametrize(
    ("settings", "refusal", "remedy"),
    [
        ({**IRSA, "image": "registry:2.8.3"}, "be user with an image of 2.x", "rm image for 3.x"),
        ({**POD_IDENTITY, "image": "mirror.example.com/registry:2"}, "be user with an image of 2.x", "rm image"),
        (
            {**IRSA, "bucket": {"endpoint": "https://s3.example.com"}},
            "not be irsa with bucket.endpoint",
            "pulumi config rm --path bucket.endpoint",
        ),
        ({"identity": "irsa"}, "have oidcProviderArn or cluster with irsa", "pulumi config set cluster NAME"),
        ({"identity": "podIdentity"}, "have cluster with podIdentity", "pulumi config set cluster NAME"),
        (
            {"identity": "podIdentity", "oidcProviderArn": OIDC_PROVIDER},
            "have cluster with podIdentity",
            "pulumi config set cluster NAME",
        ),
    ],
)
def test_what_would_not_work_is_refused(deploy: Deploy, settings: dict[str, Any], refusal: str, remedy: str) -> None:
    with pytest.raises(SettingsError, match=f"identity is '{settings['identity']}', but must {refusal}") as refused:
        deploy(**settings)
    assert remedy in str(refused.value).partition("Remedy: ")[2]


def test_pod_identity_is_refused_on_a_cluster_of_ipv6(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {"arn": CLUSTER_ARN, "identities": [], "kubernetesNetworkConfigs": [{"ipFamily": "ipv6"}]}
    monkeypatch.setattr("tests.mock_engine.AWS", {"getCluster": cluster})
    with pytest.raises(SettingsError, match="not be podIdentity on a cluster of IPv6") as refused:
        deploy(**POD_IDENTITY)
    assert "pulumi config set identity irsa" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "answer", "refusal", "remedy"),
    [
        (
            {"cluster": "production"},
            {"arn": OIDC_PROVIDER, "clientIdLists": ["other"]},
            "cluster is 'production', but must be, or have, an OIDC provider in IAM that takes tokens for sts",
            f"--open-id-connect-provider-arn {OIDC_PROVIDER} --client-id sts.amazonaws.com",
        ),
        (
            {"oidcProviderArn": OIDC_PROVIDER},
            {"arn": OIDC_PROVIDER, "clientIdLists": []},
            f"oidcProviderArn is '{OIDC_PROVIDER}', but must be, or have, an OIDC provider in IAM that takes",
            f"--open-id-connect-provider-arn {OIDC_PROVIDER} --client-id sts.amazonaws.com",
        ),
        (
            {"oidcProviderArn": OIDC_PROVIDER},
            "reading IAM OIDC Provider: couldn't find resource",
            "must be an OIDC provider in IAM of this AWS account",
            "aws iam list-open-id-connect-providers",
        ),
    ],
)
def test_an_oidc_provider_that_would_take_no_token_is_refused(  # noqa: PLR0917 (one case)
    deploy: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    answer: object,
    refusal: str,
    remedy: str,
) -> None:
    monkeypatch.setattr("tests.mock_engine.AWS", {"getOpenIdConnectProvider": answer})
    with pytest.raises(SettingsError, match=refusal) as refused:
        deploy(identity="irsa", **settings)
    assert remedy in str(refused.value)


def test_whoever_may_not_look_at_the_provider_that_is_set_is_warned(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, **_: warnings.append(text))
    monkeypatch.setattr("tests.mock_engine.AWS", {"getOpenIdConnectProvider": "AccessDenied"})
    assert deploy(**IRSA).one("Role")
    assert warnings[0].startswith("oidcProviderArn was not looked up, as AWS denies it")


@pytest.mark.parametrize("key", ["environment", "podAnnotations"])
def test_a_secret_is_not_published_by_a_setting_that_the_pods_have(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps([f"registry:{key}"]))
    with pytest.raises(SettingsError, match=f"{key} must be no secret") as refused:
        deploy(**{key: {"REGISTRY_LOG_FIELDS_SERVICE": "hunter2"}})
    assert f"pulumi config rm {key}" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_pod_identity_goes_with_an_endpoint(deploy: Deploy) -> None:
    assert deploy(bucket={"endpoint": "https://s3.example.com"}, **POD_IDENTITY).one("PodIdentityAssociation")


def test_an_image_that_tells_no_release_is_warned_of(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, **_: warnings.append(text))
    image = f"registry@sha256:{'0' * 64}"
    deploy(image=image)
    assert warnings == []
    deploy(image=image, **IRSA)
    assert f"{image} does not tell its release" in warnings[0]


@pytest.mark.parametrize(
    ("answers", "refusal"),
    [
        ({"getCluster": "couldn't find resource"}, "cluster is 'production', but must be an EKS cluster of this AWS"),
        ({"getCluster": "AccessDeniedException"}, "cluster is 'production', but must be looked up, which AWS denies"),
        (
            {"getOpenIdConnectProvider": f"finding IAM OIDC Provider by url (https://{ISSUER}): not found"},
            "must have an OIDC provider in IAM, which EKS does not",
        ),
        (
            {"getOpenIdConnectProvider": "AccessDenied"},
            "lead to the cluster's OIDC provider in IAM, which",
        ),
    ],
)
def test_a_cluster_that_cannot_be_trusted_is_told(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], refusal: str
) -> None:
    monkeypatch.setattr("tests.mock_engine.AWS", answers)
    with pytest.raises(SettingsError, match=refusal):
        deploy(identity="irsa", cluster="production")
