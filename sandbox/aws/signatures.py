"""What stands before moto: refuses requests without a signature, and makes signed URLs into signed requests.

Only who assumes a role by web identity has no key yet to sign by.
"""

from __future__ import annotations

import datetime
import hmac
import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, parse_qsl, quote, unquote
from xml.sax.saxutils import escape

from botocore.auth import UNSIGNED_PAYLOAD, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from moto.iam import access_control as moto_iam
from moto.iam.models import get_account_id_from
from moto.utilities.utils import get_partition
from werkzeug.wrappers import Response

from sandbox.aws.role_sessions import EXPIRED

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ALGORITHM = "AWS4-HMAC-SHA256"
LONGEST_EXPIRY = 7 * 24 * 3600
"""Seconds that a presigned URL may last (S3's rule)."""

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=[^/, ]+/\d{{8}}/[^/, ]+/[^/, ]+/aws4_request, ?SignedHeaders=[^, ]+,"
    r" ?Signature=[0-9a-f]{64}"
)


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """A request that goes no further; answered with an AWS error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Answer with HTTP `status` and the AWS error `code`."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self, environ: WSGIEnvironment) -> Response:
        """Write the error as S3 does, or as the query services do if the request looks like theirs."""
        error = f"<Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
        else:
            body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{error}</Error>'
        return Response(body, self.status, mimetype="application/xml")


_REFUSED_KEYS = {
    "InvalidId": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidToken": (400, "InvalidToken", "The provided token is malformed or otherwise invalid."),
    EXPIRED: (400, EXPIRED, "The provided token has expired."),
}
"""What S3 answers (status, code, message), by the reason for which moto makes no key of what was given."""


class Signatures:
    """WSGI middleware in front of `application`, moto's dispatcher."""

    def __init__(self, application: WSGIApplication) -> None:
        """Wrap `application`."""
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a signed request on; refuse any other.

        moto fails with 500 for a request without an Authorization header once IAM is enforced, and for the like of
        `/moto-api`, its own back door, it asks for no signature at all; AWS answers 403 and has no such door.
        """
        try:
            if environ["PATH_INFO"].startswith("/moto-api"):
                raise Refusal(403, "AccessDenied", "Access Denied")
            if "HTTP_AUTHORIZATION" in environ:
                if not _AUTHORIZATION.fullmatch(environ["HTTP_AUTHORIZATION"]):
                    raise Refusal(400, "AuthorizationHeaderMalformed", f"Sign with {ALGORITHM}.")
            elif "X-Amz-Signature" in dict(_query(environ)):
                sign_by_header(environ)
            elif not _is_by_web_identity(environ):
                raise Refusal(403, "AccessDenied", "Access Denied")
        except Refusal as refusal:
            return refusal.response(environ)(environ, start_response)
        return self._application(environ, start_response)


def _is_by_web_identity(environ: WSGIEnvironment) -> bool:
    """Whether a request is STS's AssumeRoleWithWebIdentity, as all SDKs send it: a form that is posted to `/`."""
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    if not form or environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] not in {"", "/"}:
        return False
    if "HTTP_X_AMZ_TARGET" in environ:
        return False
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return parse_qs(body.decode(errors="replace")).get("Action") == ["AssumeRoleWithWebIdentity"]


def sign_by_header(environ: WSGIEnvironment) -> None:
    """Verify the query signature of a presigned S3 URL and put an equal header signature in its place.

    moto knows no query signatures under enforcement. Changes `environ`; raises Refusal as S3 does.
    """
    query = _query(environ)
    given = {name: value for name, value in query if name.startswith("X-Amz-")}
    key_id, date, region, service = _credential(given)
    account = get_account_id_from(key_id)
    headers = {"X-Amz-Security-Token": given["X-Amz-Security-Token"]} if "X-Amz-Security-Token" in given else {}
    try:
        key = moto_iam.create_access_key(account, get_partition(region), key_id, headers)
    except moto_iam.CreateAccessKeyFailure as failure:
        raise Refusal(*_REFUSED_KEYS[failure.reason]) from None
    credentials = key.create_credentials()

    unsigned = [(name, value) for name, value in query if name != "X-Amz-Signature"]
    request = AWSRequest(environ["REQUEST_METHOD"], _url(environ, unsigned))
    for name in given["X-Amz-SignedHeaders"].split(";"):
        if (value := _header(environ, name)) is not None:
            request.headers[name] = value
    request.context["timestamp"] = given["X-Amz-Date"]
    auth = S3SigV4QueryAuth(credentials, service, region)
    expected = str(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))
    if not hmac.compare_digest(expected.encode(), given["X-Amz-Signature"].encode()) or date != given["X-Amz-Date"][:8]:
        raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature.")
    _check_expiry(given)

    rest = [(name, value) for name, value in query if name not in given]
    request = AWSRequest(environ["REQUEST_METHOD"], _url(environ, rest), headers={"host": environ["HTTP_HOST"]})
    _UnsignedPayloadAuth(credentials, service, region).add_auth(request)
    path_and_query = str(request.url).partition(environ["HTTP_HOST"])[2]
    environ |= {"QUERY_STRING": _encode(rest), "RAW_URI": path_and_query, "REQUEST_URI": path_and_query}
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}


class _UnsignedPayloadAuth(S3SigV4Auth):
    """Signs a request whose payload the signature does not cover, as a presigned URL's does not."""

    def payload(self, request: AWSRequest) -> str:
        return UNSIGNED_PAYLOAD


def _credential(given: dict[str, str]) -> tuple[str, str, str, str]:
    """The access key id, date, region and service that a query's X-Amz-Credential names."""
    needed = {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"}
    scope = given.get("X-Amz-Credential", "").split("/")
    if missing := needed - set(given):
        raise Refusal(400, "AuthorizationQueryParametersError", f"The query lacks {', '.join(sorted(missing))}.")
    if given["X-Amz-Algorithm"] != ALGORITHM or scope[3:] != ["s3", "aws4_request"]:
        raise Refusal(400, "AuthorizationQueryParametersError", f"Only {ALGORITHM} for the service s3 is known.")
    return scope[0], scope[1], scope[2], scope[3]


def _check_expiry(given: dict[str, str]) -> None:
    try:
        signed = datetime.datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        lasts = int(given["X-Amz-Expires"])
    except ValueError as error:
        raise Refusal(400, "AuthorizationQueryParametersError", "X-Amz-Date or X-Amz-Expires is malformed.") from error
    if not 0 < lasts <= LONGEST_EXPIRY:
        raise Refusal(400, "AuthorizationQueryParametersError", f"X-Amz-Expires must be 1 to {LONGEST_EXPIRY} seconds.")
    if datetime.datetime.now(datetime.UTC) > signed + datetime.timedelta(seconds=lasts):
        raise Refusal(403, "AccessDenied", "Request has expired")


def _query(environ: WSGIEnvironment) -> list[tuple[str, str]]:
    # A plus sign is a plus sign in a signed query; only %20 is a space.
    return parse_qsl(environ["QUERY_STRING"].replace("+", "%2B"), keep_blank_values=True)


def _encode(query: list[tuple[str, str]]) -> str:
    """Encode a query in the canonical form of AWS's signature version 4."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query)


def _url(environ: WSGIEnvironment, query: list[tuple[str, str]]) -> str:
    path = environ["RAW_URI"].partition("?")[0]
    return f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}{quote(unquote(path), safe='/-_.~')}?{_encode(query)}"


def _header(environ: WSGIEnvironment, name: str) -> str | None:
    key = name.upper().replace("-", "_")
    return environ.get(key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}")
