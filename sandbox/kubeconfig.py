"""Kubeconfigs of the sandbox's cluster: each gives one user, by a certificate of the sandbox's authority."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from sandbox import authority
from sandbox.authority import Authority
from sandbox.layout import CLUSTER_NAME, Layout


def write(layout: Layout, issuer: Authority, path: Path, user: str, group: str | None = None) -> None:
    """Write the kubeconfig of `user` in `group` to `path`, for its owner only, unless it is there."""
    if path.exists():
        return
    # Go takes no certificate without a name of its own, and Kubernetes reads the common name only.
    leaf = issuer.issue(user.rpartition(":")[2], common_name=user, organization=group)
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)

    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    cluster = {
        "server": layout.kubernetes_url,
        "certificate-authority-data": encoded(layout.authority_certificate.read_bytes()),
    }
    credentials = {
        "client-certificate-data": encoded(chain),
        "client-key-data": encoded(leaf.private_key_pem.bytes()),
    }
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER_NAME, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": CLUSTER_NAME, "context": {"cluster": CLUSTER_NAME, "user": user}}],
        "current-context": CLUSTER_NAME,
    }
    authority.write_file(path, yaml.safe_dump(kubeconfig).encode(), mode=0o600)
