"""The ARNs of what requests are about, and the other permissions that AWS asks of their callers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import unquote

from moto.iam.access_control import IAMRequestBase

POD_IDENTITY = "pods.eks.amazonaws.com"
"""The service to which roles of pods are passed, and which assumes them."""


def resource_of(request: IAMRequestBase) -> str:
    """The ARN of the resource that `request` is about, of the services in use; `*` if it is about none in particular.

    moto has them all be about `*`, which a policy that names resources does not allow.
    https://docs.aws.amazon.com/service-authorization/latest/reference/
    """
    match request._service:
        case "iam":
            return _of_iam(request)
        case "route53":
            found = re.search(r"/(hostedzone|change)/([A-Z0-9]+)", request._path)
            return f"arn:aws:route53:::{found[1]}/{found[2]}" if found else "*"
        case "acm" | "kms":
            fields = json.loads(request._body or b"{}")
            found = fields.get("CertificateArn") or fields.get("KeyId") or ""
            return found if found.startswith("arn:") else "*"
        case "eks" | "eks-auth":
            return _of_eks(request)
        case _:
            return "*"


def passed_role(request: IAMRequestBase) -> str | None:
    """The role that `request` hands to EKS for pods, which takes `iam:PassRole` and `iam:GetRole`; None if it does not.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html
    """
    if request._action not in {"eks:CreatePodIdentityAssociation", "eks:UpdatePodIdentityAssociation"}:
        return None
    return json.loads(request._body or b"{}").get("roleArn")


def permissions_boundary(request: IAMRequestBase) -> str | None:
    """The boundary that `request` of IAM gives a user or role, else the one that it has."""
    if given := request._data.get("PermissionsBoundary"):
        return given[0]
    for principal in _principals(request):
        return getattr(principal, "permissions_boundary_arn", None)
    return None


def _principals(request: IAMRequestBase) -> Iterator[object]:
    """The user or role that `request` names and that is there."""
    for field, known in (("UserName", request.backend.users), ("RoleName", _roles_by_name(request))):
        if found := known.get(request._data.get(field, [""])[0]):
            yield found


def _roles_by_name(request: IAMRequestBase) -> dict[str, object]:
    return {role.name: role for role in list(request.backend.roles.values())}


def _of_iam(request: IAMRequestBase) -> str:
    # Fields of a form, each a list.
    if given := request._data.get("OpenIDConnectProviderArn"):
        return given[0]
    for principal in _principals(request):
        return principal.arn  # pyright: ignore[reportAttributeAccessIssue] (both have one)
    (path,) = request._data.get("Path", ["/"])
    for field, kind in (("UserName", "user"), ("RoleName", "role")):
        if name := request._data.get(field, [""])[0]:
            return f"arn:aws:iam::{request.account_id}:{kind}{path}{name}"
    return "*"


def _of_eks(request: IAMRequestBase) -> str:
    path = request._path.partition("?")[0]
    prefix = f"arn:aws:eks:{request._region}:{request.account_id}"
    match [unquote(part) for part in path.split("/")[1:]]:
        case ["clusters", cluster, "pod-identity-associations", association]:
            return f"{prefix}:podidentityassociation/{cluster}/{association}"
        case ["clusters", cluster, *_]:
            return f"{prefix}:cluster/{cluster}"
        case ["clusters"] if name := json.loads(request._body or b"{}").get("name"):
            return f"{prefix}:cluster/{name}"
        case ["tags", *arn]:
            return "/".join(arn)
        case _:
            return "*"
