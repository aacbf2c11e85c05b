from __future__ import annotations

from typing import Any

import pytest

from sandbox.aws.iam_policy import Access, Decision, UnsupportedPolicyError, check, evaluate, may_allow

USER = "arn:aws:iam::123456789012:user/registry"
SSE = "s3:x-amz-server-side-encryption"


def access(action: str = "s3:GetObject", resource: str = "arn:aws:s3:::images/a/b", **context: str) -> Access:
    return Access(action, resource, frozenset({USER}), "123456789012", context)


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "s3:*", "Resource": "*"} | elements


def decide(*statements: dict[str, Any], of: Access | None = None) -> Decision:
    return evaluate({"Statement": list(statements)}, of or access())


@pytest.mark.parametrize(
    ("action", "resource", "decision"),
    [
        ("s3:GetObject", "arn:aws:s3:::images/*", Decision.ALLOWED),
        ("S3:getobject", "arn:aws:s3:::images/*", Decision.ALLOWED),
        ("s3:Get*", "arn:aws:s3:::images/?/b", Decision.ALLOWED),
        (["s3:PutObject", "s3:GetObject"], ["arn:aws:s3:::other/*", "arn:aws:s3:::images/*"], Decision.ALLOWED),
        ("s3:Get", "arn:aws:s3:::images/*", Decision.SILENT),
        ("s3:GetObject", "arn:aws:s3:::images", Decision.SILENT),
        ("s3:GetObject", "arn:aws:s3:::image./*", Decision.SILENT),
        ("s3:GetObject", "arn:aws:s3:::IMAGES/*", Decision.SILENT),
    ],
)
def test_a_statement_is_about_the_actions_and_resources_that_it_names(
    action: str | list[str], resource: str | list[str], decision: Decision
) -> None:
    assert decide(statement(Action=action, Resource=resource)) == decision


def test_a_denial_wins_over_a_permission_wherever_it_stands() -> None:
    assert decide(statement(), statement("Deny")) == Decision.DENIED
    assert decide(statement("Deny"), statement()) == Decision.DENIED


def test_a_single_statement_needs_no_list() -> None:
    assert evaluate({"Statement": statement()}, access()) == Decision.ALLOWED


def test_what_not_action_and_not_resource_name_is_left_out() -> None:
    assert decide({"Effect": "Allow", "NotAction": "s3:PutObject", "Resource": "*"}) == Decision.ALLOWED
    assert decide({"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}) == Decision.SILENT
    assert decide({"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::images/*"}) == Decision.SILENT
    assert decide({"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::other/*"}) == Decision.DENIED


@pytest.mark.parametrize(
    ("principal", "allowed", "denied"),
    [
        ("*", True, True),
        ({"AWS": "*"}, True, True),
        ({"AWS": [USER, "arn:aws:iam::123456789012:user/other"]}, True, True),
        ({"AWS": "arn:aws:iam::123456789012:user/other"}, False, False),
        ({"AWS": "arn:aws:iam::123456789012:root"}, False, True),
        ({"AWS": "123456789012"}, False, True),
        ({"AWS": "arn:aws:iam::210987654321:root"}, False, False),
        ({"Service": "logging.s3.amazonaws.com"}, False, False),
    ],
)
def test_a_resources_policy_is_about_the_principals_that_it_names(principal: Any, allowed: bool, denied: bool) -> None:
    assert (decide(statement(Principal=principal)) == Decision.ALLOWED) == allowed
    assert (decide(statement("Deny", Principal=principal)) == Decision.DENIED) == denied


def test_a_denial_unless_tls_denies_plain_http_only() -> None:
    unless_tls = statement("Deny", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    assert decide(unless_tls, of=access(**{"aws:securetransport": "false"})) == Decision.DENIED
    assert decide(unless_tls, of=access(**{"aws:securetransport": "true"})) == Decision.SILENT


@pytest.mark.parametrize(
    ("operator", "expected", "actual", "holds"),
    [
        ("StringEquals", "aws:kms", "aws:kms", True),
        ("StringEquals", ["AES256", "aws:kms"], "aws:kms", True),
        ("StringEquals", "aws:*", "aws:kms", False),
        ("StringEquals", "aws:kms", None, False),
        ("StringEqualsIfExists", "aws:kms", None, True),
        ("StringEqualsIfExists", "aws:kms", "AES256", False),
        ("StringEqualsIgnoreCase", "AWS:KMS", "aws:kms", True),
        ("StringNotEquals", "aws:kms", "AES256", True),
        ("StringNotEquals", ["AES256", "aws:kms"], "aws:kms", False),
        ("StringNotEquals", "aws:kms", None, True),
        ("StringNotEqualsIfExists", "aws:kms", None, True),
        ("StringNotEqualsIfExists", "aws:kms", "aws:kms", False),
        ("StringLike", "aws:*", "aws:kms", True),
        ("StringNotLike", "aws:*", "aws:kms", False),
        ("ArnEquals", "arn:aws:kms:*:123456789012:key/*", "arn:aws:kms:us-east-1:123456789012:key/1", True),
        ("ArnNotEqualsIfExists", "arn:aws:kms:*:123456789012:key/*", "arn:aws:kms:us-east-1:1:key/1", True),
        ("Null", "true", None, True),
        ("Null", "true", "AES256", False),
        ("Null", False, "AES256", True),
        ("Null", "false", None, False),
    ],
)
def test_condition_operators_hold_as_in_aws(operator: str, expected: Any, actual: str | None, holds: bool) -> None:
    context = {} if actual is None else {SSE: actual}
    decision = decide(statement(Condition={operator: {SSE: expected}}), of=access(**context))
    assert (decision == Decision.ALLOWED) == holds


@pytest.mark.parametrize("account", ["123456789012", "arn:aws:iam::123456789012:root"])
def test_a_permission_of_the_callers_account_counts_where_it_is_asked_for(account: str) -> None:
    policy = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": account}, "Action": "s3:*"}]}
    other = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "210987654321"}, "Action": "s3:*"}]}
    assert evaluate(policy, access()) == Decision.SILENT
    assert evaluate(policy, access(), accounts_as_principals=True) == Decision.ALLOWED
    assert evaluate(other, access(), accounts_as_principals=True) == Decision.SILENT


def test_all_conditions_of_a_statement_must_hold() -> None:
    both = statement(Condition={"StringEquals": {SSE: "aws:kms"}, "Bool": {"AWS:SecureTransport": True}})
    assert decide(both, of=access(**{SSE: "aws:kms", "aws:securetransport": "true"})) == Decision.ALLOWED
    assert decide(both, of=access(**{SSE: "aws:kms", "aws:securetransport": "false"})) == Decision.SILENT
    assert decide(both, of=access(**{SSE: "AES256", "aws:securetransport": "true"})) == Decision.SILENT


UNKNOWN = [
    (statement(Condition={"StringEqualz": {SSE: "x"}}), "condition operator 'StringEqualz'"),
    (statement(Condition={"ForAllValues:StringEquals": {SSE: "x"}}), "ForAllValues:StringEquals"),
    (statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), "condition key 'aws:SourceIp'"),
    (statement(Condition={"StringEquals": {SSE: "${aws:username}"}}), "policy variable"),
    (statement(Resource="arn:aws:s3:::images/${aws:username}/*"), "policy variable"),
    (statement(NotPrincipal="*"), "element 'NotPrincipal'"),
]


@pytest.mark.parametrize(("unknown", "named"), UNKNOWN)
def test_what_is_not_known_is_refused_by_name_and_never_ignored(unknown: dict[str, Any], named: str) -> None:
    for attempt in (lambda: decide(unknown), lambda: check({"Statement": [unknown]})):
        with pytest.raises(UnsupportedPolicyError, match=named.replace("$", r"\$")):
            attempt()


def test_an_unknown_condition_is_found_behind_one_that_fails() -> None:
    hidden = statement(Condition={"StringEquals": {SSE: "x"}, "DateLessThan": {SSE: "x"}})
    with pytest.raises(UnsupportedPolicyError, match="DateLessThan"):
        check({"Statement": [hidden]})


ISSUER = "oidc.eks.us-east-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"


def federated(**context: str) -> Access:
    action = "sts:AssumeRoleWithWebIdentity"
    return Access(action, "", frozenset({PROVIDER}), "123456789012", context, "Federated")


@pytest.mark.parametrize(
    ("principal", "decision"),
    [
        ({"Federated": PROVIDER}, Decision.ALLOWED),
        ({"Federated": ["other", PROVIDER], "AWS": USER}, Decision.ALLOWED),
        ({"Federated": PROVIDER[:-1]}, Decision.SILENT),
        ({"AWS": PROVIDER}, Decision.SILENT),
        ({"Service": PROVIDER}, Decision.SILENT),
        ({"AWS": "*"}, Decision.SILENT),
        ("*", Decision.SILENT),
    ],
)
def test_who_comes_by_an_identity_provider_is_trusted_by_the_name_of_that_alone(
    principal: Any, decision: Decision
) -> None:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": principal}
    assert decide(trust, of=federated()) == decision


def test_a_denial_for_everyone_hits_who_comes_by_an_identity_provider() -> None:
    trust = {"Effect": "Allow", "Action": "sts:*", "Principal": {"Federated": PROVIDER}}
    for everyone in ("*", {"AWS": "*"}):
        assert decide(trust, trust | {"Effect": "Deny", "Principal": everyone}, of=federated()) == Decision.DENIED
    assert decide(trust, trust | {"Effect": "Deny", "Principal": {"AWS": USER}}, of=federated()) == Decision.ALLOWED


def test_a_trust_may_ask_for_the_subject_and_audience_of_an_eks_issuers_token() -> None:
    trust = {"Effect": "Allow", "Action": "sts:*", "Principal": {"Federated": PROVIDER}}
    trust["Condition"] = {"StringEquals": {f"{ISSUER}:sub": "a", f"{ISSUER}:aud": "b"}}
    keys = f"{ISSUER}:sub".lower(), f"{ISSUER}:aud".lower()
    for subject, audience, decision in (
        ("a", "b", Decision.ALLOWED),
        ("a", "c", Decision.SILENT),
        ("c", "b", Decision.SILENT),
    ):
        assert decide(trust, of=federated(**dict(zip(keys, (subject, audience), strict=True)))) == decision
    assert decide(trust, of=federated()) == Decision.SILENT
    for unknown in (f"{ISSUER}:amr", "accounts.google.com:sub", f"{ISSUER[:-1]}:sub"):
        with pytest.raises(UnsupportedPolicyError, match="condition key"):
            check({"Statement": trust | {"Condition": {"StringEquals": {unknown: "a"}}}})


def test_what_a_policy_may_allow_is_what_it_allows_under_some_condition() -> None:
    trust = {"Effect": "Allow", "Action": "sts:*", "Principal": {"Federated": PROVIDER}}
    conditional = trust | {"Condition": {"StringEquals": {f"{ISSUER}:sub": "a"}}}
    assert may_allow({"Statement": conditional}, federated())
    assert not may_allow({"Statement": conditional | {"Effect": "Deny"}}, federated())
    assert not may_allow({"Statement": trust | {"Principal": {"Service": PROVIDER}}}, federated())
