"""What the cluster's name service answers to a query: AWS's names, and the API server's. No sockets."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sandbox import service_hosts

API_SERVER_NAME = "kubernetes.default.svc.cluster.local"
SECONDS = 30
"""How long an answer may be kept: what CoreDNS says of Services by default (coredns.io/plugins/kubernetes, `ttl`)."""


def answer(query: bytes, api_server: str) -> bytes | None:
    """Return the answer to `query`, both in DNS's wire form; None to what is no query and gets no answer.

    `api_server` is the address of the Service `kubernetes`. A name that is known has an A record only; other types
    of it are answered with none, and names that are not known with NXDOMAIN.
    """
    try:
        asked = dns.message.from_wire(query)
    except dns.exception.DNSException:
        return None
    if asked.flags & dns.flags.QR:
        return None
    # As of a resolver that asks others: without that flag, Go takes an empty answer for a server that is misconfigured.
    told = dns.message.make_response(asked, recursion_available=True)
    if asked.opcode() != dns.opcode.QUERY or len(asked.question) != 1:
        told.set_rcode(dns.rcode.NOTIMP)
        return told.to_wire()
    (question,) = asked.question
    address = _address(question.name.to_text(omit_final_dot=True).lower(), api_server)
    if not address or question.rdclass != dns.rdataclass.IN:
        told.set_rcode(dns.rcode.NXDOMAIN)
    elif question.rdtype in (dns.rdatatype.A, dns.rdatatype.ANY):
        told.answer.append(dns.rrset.from_text(question.name, SECONDS, "IN", "A", address))
    return told.to_wire()


def _address(name: str, api_server: str) -> str | None:
    if name == API_SERVER_NAME:
        return api_server
    return service_hosts.ADDRESS if service_hosts.service_host(name) else None
