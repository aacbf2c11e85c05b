"""docs/rights.md and its files speak of what the program has, and of nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml

from registry import cluster
from registry.policies import registry_policy
from sandbox.aws import iam_policy
from tests.forms import POST
from tests.mock_engine import Deploy

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "rights.md").read_text()
ACTION = r"`((?:acm|eks|iam|kms|route53|s3|sts):\w+)`"
IN_LINE, MANAGED = 2_048, 6_144
"""The most characters of a policy in line with a user, and of one of its own, white space left out:
docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
KMS_KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"
FORMS: list[dict[str, Any]] = [
    {"bucket": {"name": "my-images", "kmsKeyArn": KMS_KEY}, "accessLogs": {"bucket": "logs"}},
    POST | {"controller": "ReplicationController"},
    {
        "zoneRoleArn": "arn:aws:iam::444455556666:role/registry-zone",
        "loadBalancer": {"class": "service.k8s.aws/nlb"},
    },
    {"identity": "irsa", "cluster": "production"},
    {"identity": "podIdentity", "cluster": "production"},
]
"""Settings that have the program make and ask for all that it can."""
BALANCERS = ["a1b2.us-east-1.elb.amazonaws.com", "k8s-a1b2-0123456789abcdef.elb.us-east-1.amazonaws.com"]
"""The names of a classic load balancer and of a network one."""
POLICIES = sorted(path.name for path in (DOCS / "rights").glob("*.json"))
S3_OPERATIONS = {
    "DeleteObjectVersion": "DeleteObject",
    "GetAccelerateConfiguration": "GetBucketAccelerateConfiguration",
    "GetBucketCORS": "GetBucketCors",
    "GetBucketObjectLockConfiguration": "GetObjectLockConfiguration",
    "GetBucketPublicAccessBlock": "GetPublicAccessBlock",
    "GetEncryptionConfiguration": "GetBucketEncryption",
    "GetLifecycleConfiguration": "GetBucketLifecycleConfiguration",
    "GetReplicationConfiguration": "GetBucketReplication",
    "ListBucket": "HeadBucket",
    "ListBucketMultipartUploads": "ListMultipartUploads",
    "ListBucketVersions": "ListObjectVersions",
    "ListMultipartUploadParts": "ListParts",
    "PutBucketPublicAccessBlock": "PutPublicAccessBlock",
    "PutEncryptionConfiguration": "PutBucketEncryption",
    "PutLifecycleConfiguration": "PutBucketLifecycleConfiguration",
}
"""The actions of S3 that are not called as the operations are:
docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"""

NO_OPERATIONS = {"iam:PassRole", "iam:PermissionsBoundary"}
"""A right without an operation, and a condition's key."""


def policy(name: str) -> dict[str, Any]:
    return json.loads((DOCS / "rights" / name).read_text())


def actions(name: str) -> set[str]:
    found = [statement["Action"] for statement in policy(name)["Statement"]]
    return {action for one in found for action in ([one] if isinstance(one, str) else one)}


def rules(name: str, kind: str = "Role") -> dict[tuple[str, str], set[str]]:
    """The verbs by API group and resource."""
    (role,) = [one for one in yaml.safe_load_all((DOCS / "rights" / name).read_text()) if one["kind"] == kind]
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def table(title: str) -> str:
    return "\n".join(line for line in section(title).splitlines() if line.startswith("|"))


def test_every_type_and_function_of_aws_that_the_program_has_is_there_and_no_other(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = []
    for name in BALANCERS:
        monkeypatch.setattr("tests.mock_engine.LOAD_BALANCER_HOSTNAME", name)
        engines += [deploy(**form).engine for form in FORMS]
    types = {resource.type for engine in engines for resource in engine.resources}
    tokens = {token for engine in engines for token, _ in engine.calls}
    named = {*re.findall(r"`(aws:[\w/]+:\w+)`", TEXT)}
    assert {one for one in types | tokens if one.startswith("aws:")} == named


def test_the_role_lets_make_every_kind_that_the_program_has_and_no_other(deploy: Deploy) -> None:
    types = {resource.type for form in FORMS for resource in deploy(**form).engine.resources}
    kinds = set()
    for one in types:
        if one.startswith("kubernetes:"):
            group, _, kind = one.removeprefix("kubernetes:").partition("/v1:")
            plural = f"{kind.lower()}s".replace("ys", "ies")
            kinds.add(("" if group == "core" else group, plural))
    found = rules("role.yaml")
    assert {resource for resource, verbs in found.items() if "create" in verbs} == kinds
    assert {tuple(sorted(found[kind])) for kind in kinds} == {("create", "delete", "get", "list", "patch", "watch")}
    changing = {verb for resource, verbs in found.items() for verb in verbs if resource not in kinds}
    assert changing == {"get", "list", "watch"}


def test_the_role_of_a_preview_gets_what_the_program_asks_for_and_is_a_part_of_the_other() -> None:
    asked = set()
    for path in cluster._COLLECTIONS.values():
        _, *group, resource = path.replace("namespaces/{namespace}/", "").split("/")
        asked.add((group[0] if len(group) > 1 else "", resource))
    found = rules("preview-role.yaml")
    assert found == {resource: {"get"} for resource in asked} | {("", "events"): {"list"}}
    assert all(verbs <= rules("role.yaml")[resource] for resource, verbs in found.items())


@pytest.mark.parametrize("name", ["role.yaml", "preview-role.yaml"])
def test_every_binding_is_of_a_role_of_its_file(name: str) -> None:
    documents = [*yaml.safe_load_all((DOCS / "rights" / name).read_text())]
    roles = [(one["kind"], one["metadata"]) for one in documents if "rules" in one]
    bindings = [one for one in documents if "roleRef" in one]
    bound = [(one["roleRef"]["kind"], {**one["metadata"], "name": one["roleRef"]["name"]}) for one in bindings]
    assert bound == roles


def test_the_table_of_actions_and_the_policy_say_the_same() -> None:
    told = {*re.findall(ACTION, table("AWS"))}
    assert told == actions("iam-policy.json") | {"kms:DescribeKey", "sts:GetCallerIdentity"}


def test_the_role_of_the_zone_may_what_the_policy_may_in_the_zone_so_that_this_may_leave_it_out() -> None:
    of_the_zone = [one for one in policy("iam-policy.json")["Statement"] if one["Sid"] in ("Zone", "Changes")]
    *same, zones = policy("zone-role.json")["Statement"]
    assert same == of_the_zone
    assert zones["Action"] == "route53:ListHostedZones"


def test_the_role_of_the_zone_may_be_taken_by_the_stacks_account_which_lets_its_deployers_take_it() -> None:
    (trust,) = policy("zone-role-trust.json")["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::ACCOUNT:root"}
    (documented,) = re.findall(r"```json\n(.*?)```", section("A zone in another account"), re.DOTALL)
    deployers = json.loads(documented)
    assert deployers["Action"] == trust["Action"] == "sts:AssumeRole"
    role = deployers["Resource"].rpartition("/")[2]
    assert f"create-role --role-name {role} " in section("A zone in another account")


def test_the_policy_of_a_preview_only_reads_what_the_other_policy_and_that_of_a_key_let_read() -> None:
    found = actions("preview-policy.json")
    assert found <= actions("iam-policy.json") | {"kms:DescribeKey"}
    assert all(re.match(r"\w+:(Describe|Get|List)", action) for action in found)


def test_every_action_is_one_of_aws() -> None:
    session = botocore.session.get_session()

    def operations(service: str) -> set[str]:
        names: Any = session.get_service_model(service).operation_names
        return {*names}

    for action in {*re.findall(ACTION, TEXT)}.union(*map(actions, POLICIES)) - NO_OPERATIONS:
        service, _, name = action.partition(":")
        if service == "s3":
            assert S3_OPERATIONS.get(name, name) in operations("s3") | operations("s3control"), action
        else:
            assert name in operations(service), action


def test_the_registrys_own_rights_are_those_of_its_policy() -> None:
    rows = re.findall(r"^\| (`.*) \|.*\|$", section("The registry's own rights"), re.MULTILINE)
    listed = [sorted(re.findall(ACTION, row)) for row in rows]
    statements = registry_policy("arn:aws:s3:::images", kms_key_arn="arn")["Statement"]
    given = [[one["Action"]] if isinstance(one["Action"], str) else one["Action"] for one in statements]
    assert listed == [sorted(actions) for actions in given]


def test_the_words_in_the_policys_resources_are_explained() -> None:
    resources = [statement["Resource"] for statement in policy("iam-policy.json")["Statement"]]
    words = {word for resource in resources for word in re.findall(r"[A-Z_]{3,}", resource)}
    assert words == {*re.findall(r"^\| `([A-Z_]+)` \|", section("Give them"), re.MULTILINE)}
    assert words == {*re.findall(r"s/([A-Z_]+)/", section("Give them"))}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_one_that_the_sandbox_evaluates_and_names_each_action(name: str) -> None:
    iam_policy.check(policy(name))
    assert not [action for action in actions(name) if "*" in action]


def test_the_policy_is_as_long_as_the_text_says() -> None:
    assert IN_LINE < len(json.dumps(policy("iam-policy.json"), separators=(",", ":"))) <= MANAGED
    assert f"{IN_LINE:,} characters" in TEXT
