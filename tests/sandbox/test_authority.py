from __future__ import annotations

import ssl
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from trustme import LeafCert

from sandbox import authority
from sandbox.authority import Authority
from sandbox.layout import Layout


def certificate(leaf: LeafCert) -> x509.Certificate:
    return x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> Mapping[str, object] | None:
    """Connect two contexts in memory; return what the client was shown."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return here.getpeercert()


def test_an_authority_opened_again_is_the_same(layout: Layout) -> None:
    first = Authority.open(layout)
    pem = layout.authority_certificate.read_bytes()
    again = Authority.open(layout)
    assert layout.authority_certificate.read_bytes() == pem
    issuer = x509.load_pem_x509_certificate(pem)
    for each in (first, again):
        certificate(each.issue("a.sandbox.test")).verify_directly_issued_by(issuer)


def test_only_the_owner_can_read_the_authoritys_key(layout: Layout) -> None:
    Authority.open(layout)
    assert stat.S_IMODE((layout.authority_directory / "ca.key").stat().st_mode) == 0o600


def test_a_server_context_answers_for_its_names_and_addresses_and_no_other(layout: Layout) -> None:
    server = Authority.open(layout).server_context("registry.sandbox.test", "127.77.0.1")
    client = ssl.create_default_context(cafile=str(layout.authority_certificate))
    for name in ("registry.sandbox.test", "127.77.0.1"):
        shown = handshake(server, client, name)
        assert shown is not None
        assert shown["subjectAltName"] == (("DNS", "registry.sandbox.test"), ("IP Address", "127.77.0.1"))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)hostname mismatch"):
        handshake(server, client, "other.sandbox.test")


def test_a_client_that_does_not_know_the_authority_refuses_its_servers(layout: Layout) -> None:
    server = Authority.open(layout).server_context("registry.sandbox.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, ssl.create_default_context(), "registry.sandbox.test")


def test_a_client_certificate_carries_kubernetes_user_and_group(layout: Layout) -> None:
    leaf = certificate(Authority.open(layout).issue("admin", common_name="admin", organization="system:masters"))
    names = {each.oid: each.value for each in leaf.subject}
    assert names[NameOID.COMMON_NAME] == "admin"
    assert names[NameOID.ORGANIZATION_NAME] == "system:masters"


def test_certificates_are_for_servers_and_for_clients(layout: Layout) -> None:
    leaf = certificate(Authority.open(layout).issue("127.77.0.1"))
    usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} <= usages


def test_a_written_key_is_its_owners_only_and_loads_with_its_certificate(layout: Layout, tmp_path: Path) -> None:
    pem, key = tmp_path / "server.pem", tmp_path / "server.key"
    for _ in range(2):  # a certificate may be renewed
        authority.write(Authority.open(layout).issue("a.sandbox.test"), pem, key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pem, key)


def test_a_certificate_for_nothing_is_refused(layout: Layout) -> None:
    with pytest.raises(ValueError, match="at least one identity or common name"):
        Authority.open(layout).issue()


def test_processes_that_open_a_new_authority_at_once_agree_on_it(layout: Layout) -> None:
    opened: list[Authority] = []
    start = threading.Barrier(8)

    def open_it() -> None:
        start.wait()
        opened.append(Authority.open(layout))

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    issuer = x509.load_pem_x509_certificate(layout.authority_certificate.read_bytes())
    assert len(opened) == 8
    for each in opened:
        certificate(each.issue("a.sandbox.test")).verify_directly_issued_by(issuer)


def test_what_reaches_the_package_index_trusts_the_public_authorities_too(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Authority.open(layout)
    (public := tmp_path / "public.pem").write_bytes(trustme.CA(organization_name="public").cert_pem.bytes())
    monkeypatch.setenv("PIP_CERT", str(public))
    authority.write_trusted(layout)
    trusted = x509.load_pem_x509_certificates(layout.trusted_certificates.read_bytes())
    assert [one.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value for one in trusted] == [
        "public",
        authority.ORGANIZATION,
    ]
    certificate(opened.issue("a.sandbox.test")).verify_directly_issued_by(trusted[1])


def test_public_authorities_are_known_without_a_setting(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    Authority.open(layout)
    monkeypatch.delenv("PIP_CERT", raising=False)
    authority.write_trusted(layout)
    context = ssl.create_default_context(cafile=layout.trusted_certificates)
    assert context.cert_store_stats()["x509_ca"] > 50
