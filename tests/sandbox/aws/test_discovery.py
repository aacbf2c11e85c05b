"""The documents by which anybody can verify a cluster's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.sandbox.aws.emulated_aws import EmulatedAws
from tests.sandbox.aws.service_accounts import STS, EksCluster
from tests.waiting import PATIENCE_SECONDS


def get(aws: EmulatedAws, url: str) -> tuple[int, dict[str, Any]]:
    """What the emulated AWS answers for `url`, without any credentials."""
    parts = urlsplit(url)
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{aws.url}{parts.path}", headers={"Host": parts.netloc}, timeout=PATIENCE_SECONDS)
    return answer.status_code, answer.json()


def test_an_issuer_tells_where_its_keys_are_and_they_verify_its_tokens(aws: EmulatedAws, tmp_path: Path) -> None:
    cluster = EksCluster(aws, tmp_path)
    status, document = get(aws, f"{cluster.issuer}/.well-known/openid-configuration")
    assert (status, document["issuer"]) == (200, cluster.issuer)
    status, keys = get(aws, document["jwks_uri"])
    assert status == 200
    assert "d" not in keys["keys"][0], "the private part"
    claims = jwt.decode(cluster.token(STS), KeySet.import_key_set({"keys": keys["keys"]}), ["RS256"]).claims
    assert claims["iss"] == cluster.issuer


def test_an_issuers_host_tells_nothing_else(aws: EmulatedAws, tmp_path: Path) -> None:
    cluster = EksCluster(aws, tmp_path)
    for url in (cluster.issuer, f"{cluster.issuer[:-1]}/keys", "https://oidc.eks.us-east-1.amazonaws.com/"):
        assert get(aws, url)[0] == 404
