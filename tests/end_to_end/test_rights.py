"""With the rights of docs/rights and no others a stack is made, changed, refreshed, destroyed; with fewer it is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation

from sandbox import kubeconfig
from sandbox.authority import Authority
from sandbox.layout import REGION
from tests.end_to_end.identities import AS_ON_AWS, HELD, IDENTITIES, held, made_boundary
from tests.end_to_end.registry_stack import RegistryStack

RIGHTS = Path(__file__).parents[2] / "docs/rights"
ROTATED: dict[str, Any] = {"rotation": {"accessKey": 2, "httpSecret": 2}}
Document = dict[str, Any]


@dataclass
class Person:
    """A user `name` of AWS, and of the cluster, there in the `group`; what they may do is given by `may`."""

    stack: RegistryStack
    name: str
    group: str
    directory: Path
    _policies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        layout, iam = self.stack.sandbox.layout, self.stack.sandbox.aws("iam")
        iam.create_user(UserName=self.name)
        key = iam.create_access_key(UserName=self.name)["AccessKey"]
        path = self.directory / f"{self.name}.kubeconfig"
        kubeconfig.write(layout, Authority.open(layout), path, self.name, self.group)
        self.environment = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "KUBECONFIG": str(path),
        }

    def may(self, policy: Document, objects: list[Document]) -> None:
        """Give these rights in place of all former ones."""
        iam = self.stack.sandbox.aws("iam")
        name = f"{self.name}-{len(self._policies)}"
        made = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(policy))["Policy"]["Arn"]
        iam.attach_user_policy(UserName=self.name, PolicyArn=made)
        for former in self._policies[-1:]:
            iam.detach_user_policy(UserName=self.name, PolicyArn=former)
        self._policies.append(made)
        self.stack.sandbox.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))


def policy(stack: RegistryStack, name: str) -> Document:
    """A policy of docs/rights, with values for the words that docs/rights.md explains."""
    values = {
        "ACCOUNT": stack.sandbox.aws("sts").get_caller_identity()["Account"],
        "REGION": REGION,
        "ZONE_ID": stack.sandbox.account.zone_id,
        "BUCKET": "registry-bucket-*",
    }
    text = (RIGHTS / name).read_text()
    for word, value in values.items():
        text = text.replace(word, value)
    return json.loads(text)


def objects(stack: RegistryStack, name: str) -> list[Document]:
    """The objects of a file of docs/rights, in the stack's namespace."""
    text = (RIGHTS / name).read_text().replace("namespace: kube-system", f"namespace: {stack.name}")
    return [*yaml.safe_load_all(text)]


@pytest.fixture(scope="module")
def deployer(stack: RegistryStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    person = Person(stack, "deployer", "kube-registry-deployers", tmp_path_factory.mktemp("deployer"))
    yield person
    stack.act_as()  # what removes the stack is the administrator
    stack.sandbox.kubectl("delete", "--ignore-not-found", "clusterrole,clusterrolebinding", "kube-registry-cluster")


@pytest.fixture
def with_all_rights(stack: RegistryStack, deployer: Person) -> Person:
    """The deployer, with exactly what is documented; the stack acts as this user."""
    deployer.may(policy(stack, "iam-policy.json"), objects(stack, "role.yaml"))
    stack.act_as(**deployer.environment)
    return deployer


def test_a_preview_needs_rights_to_read_only_and_warns_of_those_that_are_not_there(
    stack: RegistryStack, tmp_path: Path
) -> None:
    person = Person(stack, f"{stack.name}-previewer", "kube-registry-previewers", tmp_path)
    person.may(policy(stack, "preview-policy.json"), objects(stack, "preview-role.yaml"))
    stack.act_as(**person.environment)
    assert {*stack.preview().values()} == {"create"}
    assert "whether this is the stack's cluster was not looked at" in stack.output


@pytest.mark.usefixtures("with_all_rights")
def test_a_stack_is_made(stack: RegistryStack) -> None:
    before = len(stack.output)
    stack.up()
    assert "was not looked at" not in stack.output[before:]
    assert {*stack.operations.changes().values()} == {"create"}


@pytest.mark.usefixtures("with_all_rights")
def test_a_second_update_with_a_refresh_changes_nothing(stack: RegistryStack) -> None:
    stack.up(refresh=True)
    assert stack.operations.changes() == {}


@pytest.mark.usefixtures("with_all_rights")
def test_secrets_are_rotated_and_the_controller_is_changed(stack: RegistryStack) -> None:
    former = stack.access_key()
    stack.up(**ROTATED, controller="ReplicationController")
    assert stack.access_key() != former
    assert stack.sandbox.get("deployments", "--namespace", stack.name)["items"] == []
    stack.up(**ROTATED)
    assert stack.sandbox.get("replicationcontrollers", "--namespace", stack.name)["items"] == []


@pytest.mark.changes
@pytest.mark.usefixtures("with_all_rights")
def test_the_registry_becomes_a_role_of_each_kind_and_a_user_again(stack: RegistryStack) -> None:
    boundary = {"permissionsBoundary": made_boundary(stack)}
    for settings in (IDENTITIES["irsa"], IDENTITIES["irsa"] | boundary, IDENTITIES["pod-identity"], boundary):
        stack.up(**ROTATED, **AS_ON_AWS, **settings)
    stack.up(**ROTATED)
    assert held(stack) == HELD["user"]


def without_action(action: str) -> Callable[[Document, list[Document]], None]:
    def take(policy: Document, objects: list[Document]) -> None:
        (statement,) = [one for one in policy["Statement"] if action in one["Action"]]
        statement["Action"].remove(action)

    return take


def without_verb(resource: str, verb: str) -> Callable[[Document, list[Document]], None]:
    def take(policy: Document, objects: list[Document]) -> None:
        rules = next(one for one in objects if one["kind"] == "Role")["rules"]
        (rule,) = [one for one in rules if resource in one["resources"]]
        rule["resources"].remove(resource)
        verbs = [one for one in rule["verbs"] if one != verb]
        rules.append({**rule, "resources": [resource], "verbs": verbs})

    return take


@pytest.mark.parametrize(
    ("take", "settings", "refusal"),
    [
        (without_verb("pods", "list"), {}, "must lead to a cluster that lists the pods in the namespace rights"),
        (
            without_verb("services", "patch"),
            {"loadBalancer": {"idleTimeoutSeconds": 600}},
            'cannot patch resource "services"',
        ),
        (without_action("s3:PutBucketPolicy"), {"bucket": {"tlsOnly": False}}, "PutBucketPolicy.*AccessDenied"),
        (
            without_action("iam:CreateAccessKey"),
            {"rotation": {"accessKey": 3, "httpSecret": 2}},
            "CreateAccessKey.*AccessDenied",
        ),
    ],
    ids=["list pods", "patch services", "s3:PutBucketPolicy", "iam:CreateAccessKey"],
)
def test_with_fewer_rights_it_is_refused(
    stack: RegistryStack,
    with_all_rights: Person,
    take: Callable[[Document, list[Document]], None],
    settings: dict[str, Any],
    refusal: str,
) -> None:
    fewer = policy(stack, "iam-policy.json"), copy.deepcopy(objects(stack, "role.yaml"))
    take(*fewer)
    with_all_rights.may(*fewer)
    with pytest.raises(automation.CommandError, match=refusal):
        stack.up(**(ROTATED | settings))


@pytest.mark.usefixtures("with_all_rights")
def test_a_stack_is_destroyed(stack: RegistryStack) -> None:
    stack.destroy()
    kinds = "deployments,replicationcontrollers,services,networkpolicies,secrets"
    assert stack.sandbox.get(kinds, "--namespace", stack.name)["items"] == []
    aws = stack.sandbox.aws
    assert stack.bucket not in {one["Name"] for one in aws("s3").list_buckets()["Buckets"]}
    assert not [one for one in aws("iam").list_users()["Users"] if one["UserName"].startswith("registry-user-")]
