"""The hosted zone is another account's: records and proofs are written by a role there, and all else is the stack's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation

from tests.end_to_end.changing import pulling, pushing
from tests.end_to_end.images import pull, push
from tests.end_to_end.load_balancers import await_answer, balancer
from tests.end_to_end.registry_stack import RegistryStack, Sandbox
from tests.end_to_end.zone_account import ZoneAccount, administrator_session, make_zone_account

pytestmark = pytest.mark.matrix

DOMAIN = "elsewhere.test"
HOSTNAMES = [f"registry.{DOMAIN}", f"images.{DOMAIN}"]


@pytest.fixture(scope="module")
def zone(sandbox: Sandbox) -> ZoneAccount:
    account, layout = sandbox.account, sandbox.layout
    administrator = administrator_session(account.access_key_id, account.secret_access_key)
    return make_zone_account(administrator, layout.cloud_tls_url, DOMAIN, layout.authority_certificate)


@pytest.fixture
def own_records(stack: RegistryStack) -> Iterator[set[str]]:
    """The names in the zone of the stack's own account, of which there are the same at the end."""
    before = names(stack)
    yield before
    assert names(stack) == before


def names(stack: RegistryStack) -> set[str]:
    route53 = stack.sandbox.aws("route53")
    records = route53.list_resource_record_sets(HostedZoneId=stack.sandbox.account.zone_id)["ResourceRecordSets"]
    return {record["Name"] for record in records}


def refusal(stack: RegistryStack, **settings: object) -> str:
    """What a preview says that is refused, in words with single spaces."""
    with pytest.raises(automation.CommandError) as refused:
        stack.preview(**settings)
    return " ".join(str(refused.value).split())


def test_the_role_writes_records_and_proofs_and_nothing_else_is_in_its_account(
    stack: RegistryStack, zone: ZoneAccount, own_records: set[str], tmp_path: Path
) -> None:
    first, second = HOSTNAMES
    settings = {"hostname": first, "zoneRoleArn": zone.role_arn}
    without = refusal(stack, hostname=first)
    assert f"zone is '{DOMAIN}', but must be a public hosted zone of this AWS account" in without

    zone.trust("arn:aws:iam::999999999999:root")
    untrusted = refusal(stack, **settings)
    assert f"zoneRoleArn is '{zone.role_arn}', but must be a role that these credentials may take" in untrusted
    zone.trust(f"arn:aws:iam::{own_account(stack)}:root")

    stack.up(**settings)
    await_answer(stack)
    assert stack.outputs["url"] == f"https://{first}"
    written = zone.records()
    assert written[first, "A"]["AliasTarget"]["DNSName"].rstrip(".") == stack.outputs["loadBalancerHostname"]
    assert [kind for name, kind in written if name.endswith(f".{first}")] == ["CNAME"]
    assert len(written) == 2
    assert names(stack) == own_records
    assert balancer(stack)
    assert stack.bucket in {one["Name"] for one in stack.sandbox.aws("s3").list_buckets()["Buckets"]}
    certificates = stack.sandbox.aws("acm").list_certificates()["CertificateSummaryList"]
    assert first in [one["DomainName"] for one in certificates]
    crane, image = stack.crane(), f"{first}/app:1"
    assert push(crane, image, tmp_path) == pull(crane, image, tmp_path)
    assert stack.preview(**settings) == {}

    user = await_answer(stack)
    user.push("steady", "1", b"whoever has its zone")
    with pulling(user) as pulls, pushing(user) as pushes:
        stack.up(**settings, rotation={"accessKey": 2})
    assert (pulls.failures, pushes.failures) == ([], [])
    stack.up(**settings, rotation={"accessKey": 2}, hostnames=[second])
    assert {(first, "A"), (second, "A")} <= zone.records().keys()
    assert len(zone.records()) == 4

    stack.destroy()
    assert zone.records() == {}


def own_account(stack: RegistryStack) -> str:
    return stack.sandbox.aws("sts").get_caller_identity()["Account"]
