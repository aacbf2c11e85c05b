"""The emulated AWS by AWS's own names: their certificates, and what each of them answers."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from sandbox.authority import Authority
from sandbox.aws.signatures import Refusal
from sandbox.service_hosts import ServiceHost, service_host

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SCOPE = re.compile(r"(?:Credential=|^)[^/, ]+/\d{8}/(?P<region>[^/, ]+)/(?P<service>[^/, ]+)/aws4_request")

FORM = "application/x-www-form-urlencoded"


def server_context(authority: Authority, *names: str) -> ssl.SSLContext:
    """Make the TLS context of the emulated AWS, with `authority`'s certificate for `names`.

    Who asks for one of AWS's names (by SNI) is shown a certificate as AWS has for it.
    """
    context = authority.server_context(*names)
    contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
    lock = threading.Lock()

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        if name and (host := service_host(name)):
            with lock:
                if host.certificate_names not in contexts:
                    contexts[host.certificate_names] = authority.server_context(*host.certificate_names)
                connection.context = contexts[host.certificate_names]

    context.sni_callback = choose
    return context


class ServiceEndpoints:
    """WSGI middleware: by one of AWS's names only its own service and region answer, as in AWS.

    moto answers for all of them at any name, to whatever the signature says that it is for.
    """

    def __init__(self, application: WSGIApplication) -> None:
        """Wrap `application`."""
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on, unless it came to a name of AWS and is for another service or region."""
        host = host_of(environ.get("HTTP_HOST", ""))
        if host and (refusal := _refusal(host, environ)):
            return refusal.response(environ)(environ, start_response)
        return self._application(environ, start_response)


def host_of(header: str) -> ServiceHost | None:
    """Return what the `Host` header of a request says, None if it is no name of AWS."""
    return service_host(header.partition(":")[0])


def _credential(environ: WSGIEnvironment) -> str:
    presigned = parse_qs(environ["QUERY_STRING"]).get("X-Amz-Credential", [""])[0]
    return environ.get("HTTP_AUTHORIZATION") or presigned


def _refusal(host: ServiceHost, environ: WSGIEnvironment) -> Refusal | None:
    """Return what S3 and the query services answer to what is not for them, None to what is.

    What has no signature says its service by its form: a query service's action, as STS's for web identities.
    """
    scope = _SCOPE.search(_credential(environ))
    if not scope:
        if host.service == "s3" and environ.get("CONTENT_TYPE", "").startswith(FORM):
            return Refusal(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        return None
    service, region = scope["service"], scope["region"]
    s3 = "The authorization header is malformed; "
    if service != host.service:
        if host.service == "s3":
            message = f'{s3}incorrect service "{service}". This endpoint belongs to "s3".'
            return Refusal(400, "AuthorizationHeaderMalformed", message)
        message = f"Credential should be scoped to correct service: '{host.service}'."
    elif host.region and region != host.region:
        if host.service == "s3":
            message = f"{s3}the region '{region}' is wrong; expecting '{host.region}'"
            return Refusal(400, "AuthorizationHeaderMalformed", message)
        message = "Credential should be scoped to a valid region."
    else:
        return None
    return Refusal(403, "SignatureDoesNotMatch", message)
