"""Where the controller is found, and the files that it reads."""

from __future__ import annotations

from pathlib import Path

from sandbox import authority, kubeconfig
from sandbox.authority import Authority
from sandbox.cluster.control_plane import ADMINISTRATORS
from sandbox.layout import Layout

WEBHOOK_PORT = 9443
HEALTH_PORT = 61779
"""The controller's own defaults, on `Layout.address`."""
KUBECONFIG, CERTIFICATES = "kubeconfig", "certificates"


def directory(layout: Layout) -> Path:
    """The directory of the controller's files."""
    return layout.directory / "load-balancer-controller"


def write_files(layout: Layout) -> None:
    """Write the kubeconfig of an administrator, and the certificate of the webhooks, below `directory`."""
    files, issuer = directory(layout), Authority.open(layout)
    certificates = files / CERTIFICATES
    certificates.mkdir(parents=True, exist_ok=True, mode=0o700)
    kubeconfig.write(layout, issuer, files / KUBECONFIG, "system:aws-load-balancer-controller", ADMINISTRATORS)
    authority.write(issuer.issue(layout.address), certificates / "tls.crt", certificates / "tls.key")
