"""Permissions boundaries of users and roles; what they allow is looked at in `access_control`."""

from __future__ import annotations

import inspect
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.exceptions import DeleteConflictException, NoSuchEntity
from moto.iam.models import IAMBackend, User
from moto.iam.responses import IamResponse

from sandbox.aws.moto_corrections.replacing import instead_of

_ANSWERS = IamResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER


def keep_boundaries_of_users() -> None:
    """moto keeps a boundary for roles only.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPermissionsBoundary.html
    """

    def boundary(self: User) -> dict[str, str] | None:
        arn = getattr(self, "permissions_boundary_arn", None)
        return arn and {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}

    def put(self: IamResponse) -> ActionResult:
        user: Any = self.backend.get_user(self._get_param("UserName"))
        arn = self._get_param("PermissionsBoundary")
        _check_boundary(self.backend, arn)
        user.permissions_boundary_arn = arn
        return EmptyResult()

    def delete(self: IamResponse) -> ActionResult:
        user: Any = self.backend.get_user(self._get_param("UserName"))
        user.permissions_boundary_arn = None
        return EmptyResult()

    setattr(User, "permissions_boundary", property(boundary))  # noqa: B010 (pyright knows no such attribute)
    setattr(IamResponse, "put_user_permissions_boundary", put)  # noqa: B010
    setattr(IamResponse, "delete_user_permissions_boundary", delete)  # noqa: B010
    for operation in ("CreateUser", "GetUser"):
        _ANSWERS[f"{operation}Response.User.PermissionsBoundary"] = _ANSWERS["GetRoleResponse.Role.PermissionsBoundary"]
    _ANSWERS["ListUsersResponse.Users.User.PermissionsBoundary"] = _ANSWERS[
        "ListRolesResponse.Roles.Role.PermissionsBoundary"
    ]

    @instead_of(IamResponse, "create_user")
    def _(original: Any, self: IamResponse) -> ActionResult:
        arn = self._get_param("PermissionsBoundary")
        _check_boundary(self.backend, arn)
        result = original(self)
        user: Any = self.backend.get_user(self._get_param("UserName"))
        user.permissions_boundary_arn = arn
        return result


def refuse_boundaries_that_are_no_policies() -> None:
    """moto takes any ARN for a role's boundary, and lets a policy be deleted that is one."""
    for name in ("create_role", "put_role_permissions_boundary"):

        @instead_of(IAMBackend, name)
        def _(original: Any, self: IAMBackend, *arguments: Any, **named: Any) -> Any:
            bound = inspect.signature(original).bind(self, *arguments, **named)
            _check_boundary(self, bound.arguments.get("permissions_boundary"))
            return original(self, *arguments, **named)

    @instead_of(IAMBackend, "delete_policy")
    def _(original: Any, self: IAMBackend, policy_arn: str) -> None:
        principals = [*self.users.values(), *self.roles.values()]
        if any(getattr(one, "permissions_boundary_arn", None) == policy_arn for one in principals):
            raise DeleteConflictException("Cannot delete a policy attached to entities.")
        original(self, policy_arn)


def _check_boundary(backend: IAMBackend, arn: str | None) -> None:
    if arn and arn not in backend.managed_policies:
        raise NoSuchEntity(f"Scope ARN: {arn} does not exist or is not attachable.")
