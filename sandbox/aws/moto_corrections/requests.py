"""Signatures, refusals and users."""

from __future__ import annotations

from typing import Any, NoReturn
from xml.sax.saxutils import escape

from moto.core.exceptions import JsonRESTError
from moto.iam.access_control import IAMRequest, IAMRequestBase, S3IAMRequest
from moto.iam.exceptions import DeleteConflictException
from moto.iam.models import IAMBackend
from moto.s3.exceptions import S3ClientError
from werkzeug.exceptions import Forbidden

from sandbox.aws.moto_corrections.replacing import instead_of
from sandbox.aws.role_sessions import EXPIRED


def sign_empty_bodies_as_empty() -> None:
    """moto takes a request's headers for its body, when that is empty and there is no query, and so finds the
    signature of Route53's GET requests wrong. AWS signs an empty body as empty.
    """

    @instead_of(IAMRequestBase, "_create_aws_request")
    def _(original: Any, self: IAMRequestBase) -> Any:
        request = original(self)
        if int(self._headers.get("Content-Length") or 0) == 0:
            request.data = b""
        return request


_IN_JSON = {"eks", "eks-auth"}
"""Services without an `X-Amz-Target` that answer in JSON."""


def forbidden(code: str, message: str) -> Forbidden:
    """Return a refusal (403) as the services answer it that speak XML."""
    error = Forbidden()
    error.description = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
    error.description += f"<Message>{escape(message)}</Message></Error></ErrorResponse>"
    return error


def answer_refusals_in_the_services_protocol() -> None:
    """moto refuses, whatever the service, in an XML of its own, of which SDKs do not read the error code.

    AWS answers JSON to services called by `X-Amz-Target` (ACM, KMS) and to EKS, and `<ErrorResponse><Error>` in XML
    to the others (but EC2 and S3, which moto answers right).
    """

    def refuse(request: IAMRequest, json_code: str, code: str, message: str) -> NoReturn:
        if "X-Amz-Target" in request._headers or request._service in _IN_JSON:
            error = JsonRESTError(json_code, message)
            error.code = 403
            raise error
        raise forbidden(code, message)

    @instead_of(IAMRequest, "_raise_access_denied")
    def _(original: Any, self: IAMRequest) -> None:
        if self._service == "ec2":
            original(self)
        message = f"User: {self._access_key.arn} is not authorized to perform: {self._action}"
        if self._action == "sts:AssumeRole":
            message += f" on resource: {self._data['RoleArn'][0]}"
        refuse(self, "AccessDeniedException", "AccessDenied", message)

    @instead_of(IAMRequest, "_raise_signature_does_not_match")
    def _(original: Any, self: IAMRequest) -> None:
        if self._service == "ec2":
            original(self)
        message = "The request signature we calculated does not match the signature you provided."
        refuse(self, "InvalidSignatureException", "SignatureDoesNotMatch", message)

    @instead_of(IAMRequest, "_raise_invalid_access_key")
    def _(original: Any, self: IAMRequest, reason: str) -> None:
        if self._service == "ec2":
            original(self, reason)
        if reason == EXPIRED:
            message = "The security token included in the request is expired"
            refuse(self, "ExpiredTokenException", EXPIRED, message)
        message = "The security token included in the request is invalid."
        refuse(self, "UnrecognizedClientException", "InvalidClientTokenId", message)

    @instead_of(S3IAMRequest, "_raise_invalid_access_key")
    def _(original: Any, self: S3IAMRequest, reason: str) -> None:
        if reason == EXPIRED:
            raise S3ClientError(EXPIRED, "The provided token has expired.")
        original(self, reason)


def keep_users_that_have_access_keys() -> None:
    """moto deletes a user together with its access keys; IAM answers DeleteConflict until they are deleted."""

    @instead_of(IAMBackend, "delete_user")
    def _(original: Any, self: IAMBackend, user_name: str) -> None:
        if self.get_user(user_name).access_keys:
            raise DeleteConflictException("Cannot delete entity, must delete access keys first.")
        original(self, user_name)
