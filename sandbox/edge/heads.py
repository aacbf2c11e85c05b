"""What proxies and load balancers do to the heads of requests and responses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from sandbox.edge.routes import Route

HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
"""RFC 9110, section 7.6.1, and RFC 2616's. Transfer-Encoding is set again for each side."""

Header = tuple[bytes, bytes]


ABSOLUTE_FORM = re.compile(rb"(?i)http://([^/?#]+)([^#]*)")
"""A request's target as proxies get it: authority, path and query."""


@dataclass(frozen=True)
class Target:
    """Where requests go: a name and a port, and whether they came to it over TLS."""

    host: str
    port: int
    tls: bool = False


def target_of(request: h11.Request, tunnelled: Target | None) -> tuple[Target, bytes]:
    """Return where a request is to go, and its path with the query. Raises ValueError with a text for the client."""
    absolute = ABSOLUTE_FORM.fullmatch(request.target)
    if tunnelled:
        return tunnelled, (absolute[2] or b"/") if absolute else request.target
    if not absolute:
        raise ValueError("this is a proxy: set HTTP_PROXY and HTTPS_PROXY to it, and ask for http://HOST/PATH")
    authority = urlsplit(b"//" + absolute[1])
    return Target((authority.hostname or b"").decode(), authority.port or 80), absolute[2] or b"/"


def end_to_end(message: h11.Request | h11.Response | h11.InformationalResponse) -> list[Header]:
    """Return the headers of `message` as they came, without those meant for one connection only."""
    listed = (value for name, value in message.headers if name == b"connection")
    named = {token.strip().lower() for value in listed for token in value.split(b",")}
    return [(raw, value) for raw, value in message.headers.raw_items() if raw.lower() not in HOP_BY_HOP | named]


def has_body(request: h11.Request) -> bool:
    """Tell whether a body follows."""
    headers = dict(request.headers)
    return b"transfer-encoding" in headers or int(headers.get(b"content-length", b"0")) > 0


def request_for_pod(request: h11.Request, target: bytes, host: str, route: Route, client_address: str) -> h11.Request:
    """Return the client's `request` as the load balancer of `route` sends it on.

    `target` is the path with the query, `host` the name asked for, for clients of HTTP/1.0 that send no Host.
    HTTP and HTTPS listeners say where the request came from:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/x-forwarded-headers.html
    """
    headers = end_to_end(request)
    given = dict(request.headers)
    if b"transfer-encoding" in given:
        headers.append((b"Transfer-Encoding", b"chunked"))
    if b"host" not in given:
        headers.append((b"Host", host.encode()))
    if route.speaks_http:
        before = [value for name, value in request.headers if name == b"x-forwarded-for"]
        forwarded = {
            b"X-Forwarded-For": b", ".join([*before, client_address.encode()]),
            b"X-Forwarded-Proto": route.protocol.lower().encode(),
            b"X-Forwarded-Port": str(route.port).encode(),
        }
        replaced = {name.lower() for name in forwarded}
        headers = [*((name, value) for name, value in headers if name.lower() not in replaced), *forwarded.items()]
    return h11.Request(method=request.method, target=target, headers=headers)
