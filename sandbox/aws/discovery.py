"""The public documents of clusters' OIDC issuers: where their keys are, and the keys."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from joserfc.jwk import RSAKey
from werkzeug.wrappers import Response

from sandbox.aws.clusters import ALGORITHM, control_planes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Discovery:
    """WSGI middleware: answers for the hosts of issuers, and leaves everything else to `application`.

    As in AWS, where no signature is needed to read what verifies tokens.
    https://docs.aws.amazon.com/eks/latest/userguide/irsa-fetch-keys.html
    """

    def __init__(self, application: WSGIApplication) -> None:
        """Wrap `application`."""
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request for `ISSUER/.well-known/openid-configuration` or `ISSUER/keys`."""
        host = environ.get("HTTP_HOST", "").partition(":")[0]
        if not host.startswith("oidc.eks."):
            return self._application(environ, start_response)
        document = _document(f"https://{host}{environ['PATH_INFO']}")
        body = json.dumps(document if document is not None else {"message": "Not Found"})
        response = Response(body, 200 if document is not None else 404, mimetype="application/json")
        return response(environ, start_response)


def _document(url: str) -> dict[str, Any] | None:
    for control_plane in list(control_planes.values()):
        issuer = control_plane.issuer
        if url == f"{issuer}/.well-known/openid-configuration":
            return {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/keys",
                "authorization_endpoint": "urn:kubernetes:programmatic_authorization",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "claims_supported": ["sub", "iss"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
            }
        if url == f"{issuer}/keys":
            known = [_key(control_plane.public_key.read_bytes())] if control_plane.public_key.exists() else []
            return {"keys": known}
    return None


def _key(pem: bytes) -> dict[str, Any]:
    """The key as a JSON Web Key, with the id that the API server puts into the headers of tokens.

    pkg/serviceaccount/jwt.go, keyIDFromPublicKey: the SHA-256 of its DER form.
    """
    der = serialization.load_pem_public_key(pem).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    identifier = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    return {**RSAKey.import_key(pem).as_dict(private=False), "kid": identifier, "use": "sig", "alg": ALGORITHM}
