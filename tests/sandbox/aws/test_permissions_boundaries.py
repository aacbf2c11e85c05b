"""Permissions boundaries: kept, told and taken away by IAM, and a limit to what users and roles may do."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.sandbox.aws.emulated_aws import EmulatedAws
from tests.sandbox.aws.service_accounts import new_role, policy
from tests.sandbox.aws.test_access_control import allow, error
from tests.sandbox.aws.test_accounts import assume, client

ACCOUNT = "123456789012"
TRUST = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}


def new_policy(aws: EmulatedAws, *statements: dict[str, Any]) -> str:
    name = f"policy-{uuid.uuid4().hex[:8]}"
    return aws.client("iam").create_policy(PolicyName=name, PolicyDocument=policy(*statements))["Policy"]["Arn"]


@pytest.fixture(scope="module")
def boundary(aws: EmulatedAws) -> str:
    """A boundary that lets buckets be listed, and much else that nobody here is allowed otherwise."""
    return new_policy(aws, allow(["s3:ListAllMyBuckets", "route53:*"], "*"))


def test_a_user_may_do_what_both_the_boundary_and_a_policy_allow(aws: EmulatedAws, boundary: str) -> None:
    key = aws.new_user(allow(["s3:*", "iam:ListUsers"], "*"))
    iam, s3 = aws.client("iam"), aws.client("s3", key)
    bucket = {"Bucket": f"bucket-{uuid.uuid4().hex[:8]}"}
    assert error(aws.client("iam", key).list_users) == ""
    iam.put_user_permissions_boundary(UserName=key.user, PermissionsBoundary=boundary)
    assert error(s3.list_buckets) == ""
    assert error(s3.create_bucket, **bucket) == "AccessDenied"
    assert error(aws.client("iam", key).list_users) == "AccessDenied"
    assert error(aws.client("route53", key).list_hosted_zones) == "AccessDenied"  # a boundary gives nothing
    iam.delete_user_permissions_boundary(UserName=key.user)
    assert error(s3.create_bucket, **bucket) == ""


def test_a_roles_sessions_may_do_what_both_the_boundary_and_a_policy_allow(aws: EmulatedAws, boundary: str) -> None:
    role = new_role(aws, TRUST, allow(["s3:*", "iam:ListUsers"], "*"), PermissionsBoundary=boundary)
    session = assume(aws, aws.administrator, role)
    assert error(client(aws, "s3", session).list_buckets) == ""
    assert error(client(aws, "iam", session).list_users) == "AccessDenied"
    assert error(client(aws, "route53", session).list_hosted_zones) == "AccessDenied"
    aws.client("iam").delete_role_permissions_boundary(RoleName=role.rpartition("/")[2])
    assert error(client(aws, "iam", session).list_users) == ""


def test_a_bucket_policy_gives_nothing_beyond_the_boundary(aws: EmulatedAws, boundary: str) -> None:
    bucket, key = aws.new_bucket(), aws.new_user()
    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{key.user}"}
    given = policy(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Principal=principal))
    aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=given)
    assert error(aws.client("s3", key).list_objects_v2, Bucket=bucket) == ""
    aws.client("iam").put_user_permissions_boundary(UserName=key.user, PermissionsBoundary=boundary)
    assert error(aws.client("s3", key).list_objects_v2, Bucket=bucket) == "AccessDenied"


def test_a_boundary_is_told_until_it_is_taken_away(aws: EmulatedAws, boundary: str) -> None:
    iam, name = aws.client("iam"), f"user-{uuid.uuid4().hex[:8]}"
    told = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary}
    made = iam.create_user(UserName=name, Path="/teams/", PermissionsBoundary=boundary)["User"]
    assert (made["PermissionsBoundary"], made["Path"]) == (told, "/teams/")
    assert iam.get_user(UserName=name)["User"]["PermissionsBoundary"] == told
    assert "PermissionsBoundary" not in next(one for one in iam.list_users()["Users"] if one["UserName"] == name)
    assert error(iam.delete_policy, PolicyArn=boundary) == "DeleteConflict"
    iam.delete_user_permissions_boundary(UserName=name)
    assert "PermissionsBoundary" not in iam.get_user(UserName=name)["User"]


def test_a_boundary_is_a_policy_that_is_there(aws: EmulatedAws) -> None:
    iam, missing = aws.client("iam"), f"arn:aws:iam::{ACCOUNT}:policy/no-such"
    role = new_role(aws, TRUST).rpartition("/")[2]
    refused = [
        error(iam.create_user, UserName="with-missing", PermissionsBoundary=missing),
        error(iam.create_role, RoleName="r", AssumeRolePolicyDocument=policy(TRUST), PermissionsBoundary=missing),
        error(iam.put_role_permissions_boundary, RoleName=role, PermissionsBoundary=missing),
    ]
    assert refused == ["NoSuchEntity"] * 3
    assert error(iam.get_user, UserName="with-missing") == "NoSuchEntity"


def test_an_account_may_demand_a_boundary_of_whatever_is_made_in_it(aws: EmulatedAws, boundary: str) -> None:
    demand = {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    names = f"arn:aws:iam::{ACCOUNT}:{{}}/teams/*"
    makes = allow(["iam:CreateUser", "iam:PutUserPolicy"], names.format("user"), Condition=demand)
    key = aws.new_user(makes, allow("iam:CreateRole", names.format("role"), Condition=demand))
    iam, name = aws.client("iam", key), f"made-{uuid.uuid4().hex[:8]}"
    role = {"RoleName": name, "AssumeRolePolicyDocument": policy(TRUST)}
    assert error(iam.create_user, UserName=name, Path="/teams/") == "AccessDenied"
    assert error(iam.create_user, UserName=name, PermissionsBoundary=boundary) == "AccessDenied"
    assert error(iam.create_user, UserName=name, Path="/teams/", PermissionsBoundary=boundary) == ""
    put = {"UserName": name, "PolicyName": "p", "PolicyDocument": policy(allow("s3:*", "*"))}
    assert error(iam.put_user_policy, **put) == ""
    aws.client("iam").delete_user_permissions_boundary(UserName=name)
    assert error(iam.put_user_policy, **put) == "AccessDenied"
    assert error(iam.create_role, **role, Path="/teams/") == "AccessDenied"
    assert error(iam.create_role, **role, PermissionsBoundary=boundary) == "AccessDenied"
    assert error(iam.create_role, **role, Path="/teams/", PermissionsBoundary=boundary) == ""


def test_rights_to_roles_and_providers_are_given_by_their_names(aws: EmulatedAws) -> None:
    role = new_role(aws, TRUST, Path="/teams/")
    name, iam = role.rpartition("/")[2], aws.client("iam", aws.new_user(allow("iam:GetRole", role)))
    assert error(iam.get_role, RoleName=name) == ""
    assert error(iam.get_role, RoleName=new_role(aws, TRUST).rpartition("/")[2]) == "AccessDenied"
    url = f"https://oidc.eks.us-east-1.amazonaws.com/id/{uuid.uuid4().hex.upper()}"
    made = aws.client("iam").create_open_id_connect_provider(Url=url, ClientIDList=["a"])["OpenIDConnectProviderArn"]
    reader = aws.client("iam", aws.new_user(allow("iam:GetOpenIDConnectProvider", made)))
    assert error(reader.get_open_id_connect_provider, OpenIDConnectProviderArn=made) == ""
    assert error(reader.get_open_id_connect_provider, OpenIDConnectProviderArn=f"{made}x") == "AccessDenied"
