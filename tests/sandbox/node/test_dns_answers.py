"""What the cluster's name service answers, with no network."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from sandbox import service_hosts
from sandbox.node.dns_answers import answer

API_SERVER = "172.20.0.1"


def asked(name: str, kind: str = "A", rdclass: str = "IN") -> dns.message.Message:
    query = dns.message.make_query(name, kind, rdclass)
    told = answer(query.to_wire(), API_SERVER)
    assert told is not None
    response = dns.message.from_wire(told)
    assert query.is_response(response)
    return response


def addresses(response: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in response.answer for record in rrset]


@pytest.mark.parametrize(
    "name", ["images.s3.eu-west-1.amazonaws.com.", "STS.us-east-1.AmazonAWS.com.", "iam.amazonaws.com."]
)
def test_services_of_aws_are_at_the_address_that_leads_to_them(name: str) -> None:
    response = asked(name)
    assert (response.rcode(), addresses(response)) == (dns.rcode.NOERROR, [service_hosts.ADDRESS])
    assert response.answer[0].name.to_text() == name


def test_the_api_server_is_at_its_services_address() -> None:
    assert addresses(asked("kubernetes.default.svc.cluster.local.")) == [API_SERVER]


def test_a_name_has_no_address_of_another_kind_and_exists_all_the_same() -> None:
    response = asked("sts.us-east-1.amazonaws.com.", "AAAA")
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
    assert response.flags & dns.flags.RA


@pytest.mark.parametrize(
    "name",
    [
        "sts.us-east-1.amazonaws.com.kube-system.svc.cluster.local.",
        "a1b2-1.us-east-1.elb.amazonaws.com.",
        "registry.sandbox.test.",
        "other.default.svc.cluster.local.",
        ".",
    ],
)
def test_other_names_do_not_exist(name: str) -> None:
    response = asked(name)
    assert (response.rcode(), response.answer) == (dns.rcode.NXDOMAIN, [])


def test_another_class_has_no_names() -> None:
    assert asked("sts.us-east-1.amazonaws.com.", rdclass="CH").rcode() == dns.rcode.NXDOMAIN


def test_what_is_no_query_is_not_answered() -> None:
    query = dns.message.make_query("sts.us-east-1.amazonaws.com.", "A")
    for wire in (b"", b"\0", query.to_wire()[:-3], dns.message.make_response(query).to_wire()):
        assert answer(wire, API_SERVER) is None


def test_other_operations_are_not_implemented() -> None:
    query = dns.message.make_query("amazonaws.com.", "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    told = answer(query.to_wire(), API_SERVER)
    assert told
    assert dns.message.from_wire(told).rcode() == dns.rcode.NOTIMP
