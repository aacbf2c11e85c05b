"""The sandbox's certificate authority: certificates for its servers and for Kubernetes' clients, by trustme."""

from __future__ import annotations

import fcntl
import os
import ssl
from pathlib import Path

import certifi
from trustme import CA, LeafCert

from sandbox.layout import Layout

ORGANIZATION = "Kubernetes registry sandbox"


class Authority:
    """A certificate authority kept in `Layout.authority_directory`; what it signs is valid for servers and clients."""

    def __init__(self, ca: CA) -> None:
        """Wrap `ca`; callers use `open`."""
        self._ca = ca

    @classmethod
    def open(cls, layout: Layout) -> Authority:
        """Load the authority of `layout`, or make it and keep it there (`ca.pem`, and `ca.key` for its owner only)."""
        certificate, key = layout.authority_certificate, layout.authority_directory / "ca.key"
        layout.authority_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (layout.authority_directory / "lock").open("w") as lock:
            # The sandbox's processes start side by side: the first makes the authority, the others wait for it.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not certificate.exists():
                ca = CA(organization_name=ORGANIZATION, organization_unit_name=f"Sandbox {layout.name}")
                write_file(key, ca.private_key_pem.bytes(), mode=0o600)
                write_file(certificate, ca.cert_pem.bytes(), mode=0o644)
        return cls(CA.from_pem(certificate.read_bytes(), key.read_bytes()))

    def issue(self, *names: str, common_name: str | None = None, organization: str | None = None) -> LeafCert:
        """Sign a certificate for the DNS names or IP addresses `names`.

        Kubernetes reads a client's user from `common_name` and its group from `organization`. Raises ValueError
        if neither a name nor a common name is given.
        """
        return self._ca.issue_cert(*names, common_name=common_name, organization_name=organization or ORGANIZATION)

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Make the TLS context of a server that answers as `names` (DNS names or IP addresses)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issue(*names).configure_cert(context)
        return context


def write_trusted(layout: Layout) -> None:
    """Write `Layout.trusted_certificates`: what pip trusts outside a sandbox, and the authority of `layout`."""
    system = ssl.get_default_verify_paths().openssl_cafile
    public = os.environ.get("PIP_CERT") or (system if Path(system).is_file() else certifi.where())
    trusted = [Path(public).read_bytes(), layout.authority_certificate.read_bytes()]
    write_file(layout.trusted_certificates, b"\n".join(trusted), mode=0o644)


def write(leaf: LeafCert, certificate: Path, key: Path) -> None:
    """Write the PEM chain of `leaf` to `certificate` and its PEM private key, owner only, to `key`."""
    write_file(key, leaf.private_key_pem.bytes(), mode=0o600)
    write_file(certificate, b"".join(pem.bytes() for pem in leaf.cert_chain_pems), mode=0o644)


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Write the file with the permissions `mode`, whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    new.touch(mode=mode)
    new.write_bytes(content)
    new.replace(path)
