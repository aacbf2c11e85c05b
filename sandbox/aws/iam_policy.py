"""Evaluates IAM policy documents as AWS does; what it does not know it refuses, never ignores. Pure: no moto here.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

KNOWN_KEYS = frozenset(
    {
        "aws:securetransport",
        "aws:requesttag/eks-cluster-arn",
        "aws:requesttag/eks-cluster-name",
        "aws:requesttag/kubernetes-namespace",
        "aws:requesttag/kubernetes-pod-name",
        "aws:requesttag/kubernetes-pod-uid",
        "aws:requesttag/kubernetes-service-account",
        "aws:principalarn",
        "aws:sourceaccount",
        "aws:principalaccount",
        "aws:resourceaccount",
        "iam:passedtoservice",
        "iam:permissionsboundary",
        "s3:prefix",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-customer-algorithm",
        "kms:encryptioncontext:aws:s3:arn",
        "kms:viaservice",
        "sts:externalid",
        "sts:rolesessionname",
    }
)
"""The condition keys, in lower case, that the sandbox gives values to (or rightly leaves out of a request)."""

_ISSUER_KEYS = re.compile(r"oidc\.eks\.[a-z0-9-]+\.amazonaws\.com/id/[0-9a-f]{32}:(aud|sub)")
"""Those that are named after the issuer of a web identity's token, in lower case."""

_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}


class UnsupportedPolicyError(Exception):
    """A policy says something that this evaluator does not know, so that no answer to it would be right."""


class Decision(Enum):
    """What one document says of one request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    SILENT = "silent"


@dataclass(frozen=True)
class Access:
    """One thing that a caller wants to do: an IAM action (`s3:GetObject`) on a resource (an ARN)."""

    action: str
    resource: str
    principals: frozenset[str]
    """The caller's ARNs: a user's one, or those of a role and of its session."""
    account: str
    """The caller's account id."""
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys in lower case with their values; a key that the request does not have is left out."""
    principal_type: str = "AWS"
    """What a policy's Principal calls `principals`: `AWS`, `Federated` (ARNs of identity providers) or `Service`."""


def evaluate(
    document: str | bytes | Mapping[str, Any], access: Access, *, accounts_as_principals: bool = False
) -> Decision:
    """Say what `document` (a policy as JSON or parsed) decides of `access`: a denial wins over any permission.

    An account as principal of a permission leaves it to its identities' policies; with `accounts_as_principals` such a
    permission counts, and the caller of this looks at those policies.

    Raises UnsupportedPolicyError if a statement that concerns `access` has an element, operator, key or policy
    variable that is not known here.
    """
    decision = Decision.SILENT
    for statement in _statements(document):
        if _concerns(statement, access, accounts_as_principals) and _conditions_hold(
            statement.get("Condition", {}), access.context
        ):
            if statement["Effect"] == "Deny":
                return Decision.DENIED
            decision = Decision.ALLOWED
    return decision


def may_allow(document: str | bytes | Mapping[str, Any], access: Access) -> bool:
    """Whether a statement of `document` allows `access` under some conditions, which may not hold."""
    return any(
        statement["Effect"] == "Allow" and _concerns(statement, access, accounts_as_principals=False)
        for statement in _statements(document)
    )


def check(document: str | bytes | Mapping[str, Any]) -> None:
    """Raise UnsupportedPolicyError if any statement of `document` could not be evaluated."""
    for statement in _statements(document):
        _conditions_hold(statement.get("Condition", {}), {}, every=True)


def _statements(document: str | bytes | Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    parsed = json.loads(document) if isinstance(document, str | bytes) else document
    for statement in _list(parsed["Statement"]):
        if unknown := set(statement) - _ELEMENTS:
            raise _unsupported("element", ", ".join(sorted(unknown)), "use " + ", ".join(sorted(_ELEMENTS)))
        for pattern in [*_list(statement.get("Resource", [])), *_list(statement.get("NotResource", []))]:
            if "${" in pattern:
                raise _unsupported("policy variable in", pattern, "write the value out")
        yield statement


def _concerns(statement: Mapping[str, Any], access: Access, accounts_as_principals: bool) -> bool:
    """Whether the statement is about the action, the resource and the caller of `access`."""

    def named(element: str, value: str, *, ignore_case: bool = False) -> bool:
        if element in statement:
            return _matches_any(statement[element], value, ignore_case=ignore_case)
        # A statement without Resource is a trust policy's: it is about the role that it belongs to.
        return not _matches_any(statement.get(f"Not{element}", []), value, ignore_case=ignore_case)

    return (
        named("Action", access.action, ignore_case=True)
        and named("Resource", access.resource)
        and _is_principal(statement, access, accounts_as_principals)
    )


def _is_principal(statement: Mapping[str, Any], access: Access, accounts_as_principals: bool) -> bool:
    principal = statement.get("Principal")
    if principal is None:  # an identity's policy, which is about that identity
        return True
    if principal == "*":
        principal = {"AWS": "*"}
    if not isinstance(principal, Mapping):
        raise _unsupported("principal", str(principal), 'use "*" or {"AWS": [ARNs]}')
    if access.principal_type != "AWS":
        everyone = statement["Effect"] == "Deny" and "*" in _list(principal.get("AWS", []))
        return everyone or not access.principals.isdisjoint(_list(principal.get(access.principal_type, [])))
    everyone_of_account = {access.account, f"arn:aws:iam::{access.account}:root"}
    for name in _list(principal.get("AWS", [])):
        if name == "*" or name in access.principals:
            return True
        # A denial of an account hits all of it.
        if name in everyone_of_account and (accounts_as_principals or statement["Effect"] == "Deny"):
            return True
    return False


def _equals(expected: str, actual: str) -> bool:
    return expected == actual


def _equals_ignoring_case(expected: str, actual: str) -> bool:
    return expected.lower() == actual.lower()


def _like(pattern: str, actual: str, *, ignore_case: bool = False) -> bool:
    wildcards = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wildcards, actual, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


def _matches_any(patterns: str | Iterable[str], value: str, *, ignore_case: bool = False) -> bool:
    return any(_like(pattern, value, ignore_case=ignore_case) for pattern in _list(patterns))


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (_equals, True),
    "StringNotEquals": (_equals, False),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringLike": (_like, True),
    "StringNotLike": (_like, False),
    "ArnEquals": (_like, True),
    "ArnLike": (_like, True),
    "ArnNotEquals": (_like, False),
    "ArnNotLike": (_like, False),
    "Bool": (_equals_ignoring_case, True),
}
"""Each condition operator's comparison, and whether it must hold for one of the values or for none of them."""


def _conditions_hold(
    conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str], *, every: bool = False
) -> bool:
    """Whether all conditions hold; with `every`, look at each even after one has failed."""
    held = True
    for operator, keys in conditions.items():
        for key, values in keys.items():
            held = _condition_holds(operator, key, [_text(value) for value in _list(values)], context) and held
            if not held and not every:
                return False
    return held


def _condition_holds(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    if key.lower() not in KNOWN_KEYS and not _ISSUER_KEYS.fullmatch(key.lower()):
        raise _unsupported("condition key", key, "use one of " + ", ".join(sorted(KNOWN_KEYS)))
    if variable := next((value for value in values if "${" in value), None):
        raise _unsupported("policy variable in", variable, "write the value out")
    actual = context.get(key.lower())
    if operator == "Null":
        return _text(actual is None) in values
    name = operator.removesuffix("IfExists")
    if name not in _OPERATORS:
        raise _unsupported("condition operator", operator, "use Null or one of " + ", ".join(_OPERATORS))
    matches, wanted = _OPERATORS[name]
    if actual is None:
        return not wanted or name != operator
    return any(matches(value, actual) for value in values) == wanted


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unsupported(kind: str, value: str, remedy: str) -> UnsupportedPolicyError:
    return UnsupportedPolicyError(f"The sandbox does not know the policy's {kind} {value!r}: {remedy}.")
