"""EKS Pod Identity: associations, and which tokens get credentials by them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.aws.emulated_aws import EmulatedAws, Key
from tests.sandbox.aws.service_accounts import (
    NAMESPACE,
    PODS,
    SERVICE_ACCOUNT,
    STS,
    EksCluster,
    new_role,
    policy,
)
from tests.sandbox.aws.test_access_control import allow, error
from tests.sandbox.aws.test_accounts import client

NO_TRUST = (
    "AccessDeniedException",
    "Unauthorized Exception! EKS does not have permissions to assume the associated role.",
    400,
)


@pytest.fixture
def cluster(aws: EmulatedAws, tmp_path: Path) -> EksCluster:
    return EksCluster(aws, tmp_path)


@pytest.fixture
def role(aws: EmulatedAws, cluster: EksCluster) -> str:
    """A role for exactly one ServiceAccount of `cluster`, which may list buckets."""
    return new_role(aws, cluster.pod_identity_trust(), allow("s3:ListAllMyBuckets", "*"))


def assume(aws: EmulatedAws, cluster: EksCluster, token: str, key: Key | None = None) -> dict[str, Any]:
    """What the agent of a node gets for a pod's token."""
    return aws.client("eks-auth", key).assume_role_for_pod_identity(clusterName=cluster.name, token=token)


def refusal(call: Any, *given: Any, **arguments: Any) -> tuple[str, str, int]:
    """The error code, message and status of a refused call."""
    with pytest.raises(ClientError) as refused:
        call(*given, **arguments)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_pods_token_gives_the_rights_of_the_associated_role_for_a_while(
    aws: EmulatedAws, cluster: EksCluster, role: str
) -> None:
    association = cluster.associate(role)
    given = assume(aws, cluster, cluster.token(PODS))
    assert given["subject"] == {"namespace": NAMESPACE, "serviceAccount": SERVICE_ACCOUNT}
    assert given["audience"] == PODS
    assert given["podIdentityAssociation"]["associationArn"] == association["associationArn"]
    session = given["assumedRoleUser"]["arn"].rpartition("/")[2]
    assert session.startswith(f"eks-{cluster.name}"[:20])
    assert len(session) <= 64
    credentials = {f"{name[0].upper()}{name[1:]}": value for name, value in given["credentials"].items()}
    s3 = client(aws, "s3", credentials)
    assert error(s3.list_buckets) == ""
    assert error(s3.create_bucket, Bucket="not-allowed") == "AccessDenied"
    left = credentials["Expiration"] - datetime.datetime.now(datetime.UTC)
    assert 0 < left.total_seconds() <= 3600
    aws.client("iam").delete_role_policy(RoleName=role.rpartition("/")[2], PolicyName="rights")
    aws.client("iam").delete_role(RoleName=role.rpartition("/")[2])
    assert error(s3.list_buckets) == "InvalidAccessKeyId"


def test_a_token_for_another_audience_is_refused(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    cluster.associate(role)
    for audience in (STS, cluster.issuer):
        assert refusal(assume, aws, cluster, cluster.token(audience))[::2] == ("InvalidTokenException", 400)


def test_a_service_account_without_an_association_gets_nothing(
    aws: EmulatedAws, cluster: EksCluster, role: str
) -> None:
    expected = ("ResourceNotFoundException", 404)
    assert refusal(assume, aws, cluster, cluster.token(PODS))[::2] == expected
    association = cluster.associate(role)
    assert assume(aws, cluster, cluster.token(PODS))
    assert refusal(assume, aws, cluster, cluster.token(PODS, service_account="default"))[::2] == expected
    assert refusal(assume, aws, cluster, cluster.token(PODS, namespace="default"))[::2] == expected
    identifier = association["associationId"]
    aws.client("eks").delete_pod_identity_association(clusterName=cluster.name, associationId=identifier)
    assert refusal(assume, aws, cluster, cluster.token(PODS))[::2] == expected


def test_another_clusters_tokens_are_refused(
    aws: EmulatedAws, cluster: EksCluster, role: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = EksCluster(aws, tmp_path_factory.mktemp("other"))
    cluster.associate(role)
    tokens = [other.token(PODS), cluster.token(PODS, key=other.key), other.token(PODS, issuer=cluster.issuer)]
    for token in tokens:
        assert refusal(assume, aws, cluster, token)[::2] == ("InvalidTokenException", 400)
    # The other cluster's association is no help: the role's trust names this cluster.
    other.associate(role)
    assert refusal(assume, aws, other, other.token(PODS)) == NO_TRUST


def test_an_expired_token_is_refused(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    cluster.associate(role)
    assert refusal(assume, aws, cluster, cluster.token(PODS, seconds=-1))[::2] == ("ExpiredTokenException", 400)


@pytest.mark.parametrize(
    "equals",
    [
        {"kubernetes-namespace": "default"},
        {"kubernetes-service-account": "default"},
        {"eks-cluster-arn": "arn:aws:eks:us-east-1:123456789012:cluster/other"},
        {"eks-cluster-name": "other"},
    ],
)
def test_a_role_whose_trust_asks_for_another_pod_is_not_assumed(
    aws: EmulatedAws, cluster: EksCluster, equals: dict[str, str]
) -> None:
    cluster.associate(new_role(aws, cluster.pod_identity_trust(**equals)))
    assert refusal(assume, aws, cluster, cluster.token(PODS)) == NO_TRUST


def test_a_trust_without_session_tags_is_enough_only_where_they_are_disabled(
    aws: EmulatedAws, cluster: EksCluster
) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": PODS}, "Action": "sts:AssumeRole"}
    association = cluster.associate(new_role(aws, trust))
    assert refusal(assume, aws, cluster, cluster.token(PODS)) == NO_TRUST
    eks, identifier = aws.client("eks"), {"clusterName": cluster.name, "associationId": association["associationId"]}
    eks.update_pod_identity_association(**identifier, disableSessionTags=True)
    assert assume(aws, cluster, cluster.token(PODS))
    eks.update_pod_identity_association(**identifier, roleArn=new_role(aws, cluster.pod_identity_trust()))
    assert refusal(assume, aws, cluster, cluster.token(PODS)) == NO_TRUST  # its conditions ask for tags


def test_an_associations_policy_narrows_the_role_and_goes_without_session_tags(
    aws: EmulatedAws, cluster: EksCluster
) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": PODS}, "Action": "sts:AssumeRole"}
    role, narrow = new_role(aws, trust, allow("s3:*", "*")), policy(allow("s3:ListBucket", "*"))
    with_tags = refusal(cluster.associate, role, policy=narrow)
    assert with_tags[::2] == ("InvalidParameterException", 400)
    wrong = refusal(cluster.associate, role, policy="{}", disableSessionTags=True)
    assert wrong[::2] == ("InvalidParameterException", 400)
    cluster.associate(role, policy=narrow, disableSessionTags=True)
    given = assume(aws, cluster, cluster.token(PODS))["credentials"]
    credentials = {f"{name[0].upper()}{name[1:]}": value for name, value in given.items()}
    assert error(client(aws, "s3", credentials).list_buckets) == "AccessDenied"


def test_an_association_is_made_told_changed_and_deleted(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    eks = aws.client("eks")
    made = cluster.associate(role, tags={"a": "b", "c": "d"})
    prefix = f"arn:aws:eks:us-east-1:123456789012:podidentityassociation/{cluster.name}/"
    assert made["associationArn"] == prefix + made["associationId"]
    assert (made["roleArn"], made["disableSessionTags"], made["tags"]) == (role, False, {"a": "b", "c": "d"})
    identifier = {"clusterName": cluster.name, "associationId": made["associationId"]}
    eks.tag_resource(resourceArn=made["associationArn"], tags={"e": "f"})
    eks.untag_resource(resourceArn=made["associationArn"], tagKeys=["a", "c"])
    assert eks.describe_pod_identity_association(**identifier)["association"]["tags"] == {"e": "f"}
    elsewhere = cluster.associate(role, namespace="default")["associationId"]
    assert elsewhere != made["associationId"]

    def listed(**filters: str) -> set[str]:
        found = eks.list_pod_identity_associations(clusterName=cluster.name, **filters)["associations"]
        return {one["associationId"] for one in found}

    assert listed() == listed(serviceAccount=SERVICE_ACCOUNT) == {made["associationId"], elsewhere}
    assert listed(namespace="default") == {elsewhere}
    assert listed(serviceAccount="default") == set()
    other = new_role(aws, cluster.pod_identity_trust())
    changed = eks.update_pod_identity_association(**identifier, roleArn=other)["association"]
    assert (changed["roleArn"], changed["tags"]) == (other, {"e": "f"})
    assert changed["modifiedAt"] > made["modifiedAt"]
    eks.delete_pod_identity_association(**identifier)
    assert listed() == {elsewhere}
    assert refusal(eks.describe_pod_identity_association, **identifier)[::2] == ("ResourceNotFoundException", 404)
    assert refusal(eks.delete_pod_identity_association, **identifier)[::2] == ("ResourceNotFoundException", 404)


def test_what_eks_would_refuse_is_refused_in_its_words(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    made = cluster.associate(role)
    exists = f"Association already exists: {made['associationId']}"
    assert refusal(cluster.associate, role) == ("ResourceInUseException", exists, 409)
    missing = "Role provided in the request does not exist."
    assert refusal(cluster.associate, f"{role}x", namespace="a") == ("InvalidParameterException", missing, 400)
    invalid = "Trust policy of the role provided is invalid"
    federated = new_role(aws, cluster.web_identity_trust())
    assert refusal(cluster.associate, federated, namespace="a") == ("InvalidParameterException", invalid, 400)
    eks = aws.client("eks")
    nowhere = {"clusterName": "nowhere", "namespace": "a", "serviceAccount": "a", "roleArn": role}
    no_cluster = ("ResourceNotFoundException", "No cluster found for name: nowhere.", 404)
    assert refusal(eks.create_pod_identity_association, **nowhere) == no_cluster
    assert refusal(eks.list_pod_identity_associations, clusterName="nowhere") == no_cluster
    target = refusal(cluster.associate, role, namespace="a", targetRoleArn=role)
    assert target == ("InvalidParameterException", "The sandbox does not know targetRoleArn: leave it out.", 400)


def test_who_associates_a_role_needs_to_be_allowed_to_pass_it(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    association = f"arn:aws:eks:us-east-1:123456789012:podidentityassociation/{cluster.name}/*"
    pass_role = allow("iam:PassRole", role, Condition={"StringEquals": {"iam:PassedToService": PODS}})
    rights = [
        allow("eks:CreatePodIdentityAssociation", cluster.arn),
        allow("eks:DescribePodIdentityAssociation", association),
        allow("iam:GetRole", role),
        pass_role,
    ]

    def outcome(*statements: dict[str, Any]) -> str:
        eks = aws.client("eks", aws.new_user(*statements))
        identifier = {"clusterName": cluster.name, "namespace": NAMESPACE, "serviceAccount": SERVICE_ACCOUNT}
        return error(eks.create_pod_identity_association, **identifier, roleArn=role)

    for missing in (rights[0], rights[2], rights[3]):
        assert outcome(*(one for one in rights if one is not missing)) == "AccessDeniedException"
    elsewhere = pass_role | {"Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}
    assert outcome(*rights[:3], elsewhere) == "AccessDeniedException"
    assert outcome(*rights) == ""


def test_rights_to_clusters_and_associations_are_given_by_their_names(
    aws: EmulatedAws, cluster: EksCluster, role: str
) -> None:
    mine, others = cluster.associate(role), cluster.associate(role, namespace="default")
    rights = allow("eks:DescribePodIdentityAssociation", mine["associationArn"]), allow("eks:*Cluster", cluster.arn)
    eks = aws.client("eks", aws.new_user(*rights))
    name, association = cluster.name, "associationId"
    outcomes = [
        error(eks.describe_cluster, name=name),
        error(eks.describe_pod_identity_association, clusterName=name, associationId=mine[association]),
        error(eks.describe_pod_identity_association, clusterName=name, associationId=others[association]),
        error(eks.describe_cluster, name="other"),
        error(eks.list_pod_identity_associations, clusterName=name),
        error(eks.tag_resource, resourceArn=mine["associationArn"], tags={"a": "b"}),
    ]
    assert outcomes == ["", "", *["AccessDeniedException"] * 4]


def test_credentials_are_given_to_who_may_ask_for_them_only(aws: EmulatedAws, cluster: EksCluster, role: str) -> None:
    cluster.associate(role)
    agent = aws.new_user(allow("eks-auth:AssumeRoleForPodIdentity", cluster.arn))
    assert assume(aws, cluster, cluster.token(PODS), agent)
    assert refusal(assume, aws, cluster, cluster.token(PODS), aws.new_user())[::2] == ("AccessDeniedException", 403)
