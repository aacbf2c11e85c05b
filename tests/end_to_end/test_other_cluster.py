"""Another cluster is current, or another account's credentials are in use: what acts on the stack acts on its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.cluster.control_plane import Cluster
from sandbox.layout import MEMBER_ADMINISTRATOR, Layout
from sandbox.processes import stop
from tests import networks
from tests.end_to_end.registry_stack import RegistryStack


@pytest.fixture(autouse=True, scope="module")
def deployed(stack: RegistryStack) -> None:
    stack.up()


@pytest.fixture(scope="module")
def other_cluster(stack: RegistryStack) -> Iterator[Layout]:
    """A cluster in which nothing of the stack is."""
    layout = Layout("other-cluster", networks.OTHER_CLUSTER)
    try:
        Cluster(layout, stack.sandbox.tools.binaries).start()
        yield layout
    finally:
        stop(layout)


@pytest.fixture
def kubeconfig(stack: RegistryStack, other_cluster: Layout, tmp_path: Path) -> Path:
    """One in which the other cluster is current, and the stack's is there too."""
    stacks, others = (yaml.safe_load(layout.kubeconfig.read_text()) for layout in (stack.sandbox.layout, other_cluster))
    for kind in ("clusters", "users", "contexts"):
        others[kind][0]["name"] = "elsewhere"
        others[kind] += stacks[kind]
    others["contexts"][0]["context"] = {"cluster": "elsewhere", "user": "elsewhere"}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(others | {"current-context": "elsewhere"}))
    return path


@pytest.fixture
def without_the_stacks(kubeconfig: Path) -> Path:
    """One that has the other cluster's context only."""
    content = yaml.safe_load(kubeconfig.read_text())
    kubeconfig.write_text(yaml.safe_dump(content | {"contexts": content["contexts"][:1]}))
    return kubeconfig


@pytest.fixture
def anothers_credentials(stack: RegistryStack) -> dict[str, str]:
    """The environment with credentials of another account of the organization."""
    organizations = stack.sandbox.aws("organizations")
    with contextlib.suppress(organizations.exceptions.AlreadyInOrganizationException):
        organizations.create_organization(FeatureSet="ALL")
    made = organizations.create_account(AccountName="other", Email="aws@other.test")["CreateAccountStatus"]
    role = f"arn:aws:iam::{made['AccountId']}:role/{MEMBER_ADMINISTRATOR}"
    key = stack.sandbox.aws("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_SESSION_TOKEN": key["SessionToken"],
    }


def resources(stack: RegistryStack) -> dict[str, Any]:
    """What the state has, by URN."""
    return {one["urn"]: one.get("id") for one in stack.state()}


def objects(stack: RegistryStack) -> set[str]:
    """What the stack's cluster has in the stack's namespace."""
    kinds = "deployments,services,serviceaccounts,networkpolicies,secrets"
    return set(stack.sandbox.kubectl("get", kinds, "--namespace", stack.name, "--output=name").split())


def refused(stack: RegistryStack, *command: str, **environment: str) -> str:
    """What a command prints that ends in an error, and changes nothing: state and cluster are as before."""
    before = resources(stack), objects(stack)
    with pytest.raises(subprocess.CalledProcessError) as error:
        stack.pulumi(*command, **environment)
    assert (resources(stack), objects(stack)) == before
    return error.value.stdout + error.value.stderr


def test_what_the_state_has_of_its_providers_names_cluster_and_account(stack: RegistryStack) -> None:
    inputs = {
        one["type"]: one.get("inputs", {}) for one in stack.state() if one["type"].startswith("pulumi:providers:")
    }
    assert inputs["pulumi:providers:kubernetes"]["context"] == "sandbox"
    assert inputs["pulumi:providers:aws"]["allowedAccountIds"] == '["123456789012"]'


def test_a_refresh_looks_at_the_stacks_cluster_whichever_is_current(stack: RegistryStack, kubeconfig: Path) -> None:
    before = resources(stack)
    stack.pulumi("refresh", "--yes", "--skip-preview", KUBECONFIG=str(kubeconfig))
    assert resources(stack) == before


def test_a_refresh_where_the_stacks_context_is_gone_forgets_nothing(
    stack: RegistryStack, without_the_stacks: Path
) -> None:
    printed = refused(stack, "refresh", "--yes", "--skip-preview", KUBECONFIG=str(without_the_stacks))
    assert 'context "sandbox" does not exist' in printed


def test_a_whole_destroy_where_the_stacks_context_is_gone_forgets_nothing_that_is_there(
    stack: RegistryStack, without_the_stacks: Path
) -> None:
    """It begins with the record, which leads to the load balancer; the next `up` makes it again."""
    before = objects(stack)
    kept = {one["urn"]: one.get("id") for one in stack.state() if one["type"].startswith(("kubernetes:", "aws:s3/b"))}
    with pytest.raises(subprocess.CalledProcessError) as error:
        stack.pulumi("destroy", "--yes", "--skip-preview", KUBECONFIG=str(without_the_stacks))
    assert 'context "sandbox" does not exist' in error.value.stdout + error.value.stderr
    assert objects(stack) == before
    assert kept.items() <= resources(stack).items()
    route53 = stack.sandbox.aws("route53")
    zone = route53.list_resource_record_sets(HostedZoneId=stack.sandbox.account.zone_id)["ResourceRecordSets"]
    has_record = f"{stack.hostname}." in [one["Name"] for one in zone if one["Type"] == "A"]
    assert has_record == any(f"::registry-record-{stack.hostname}" in urn for urn in resources(stack))
    stack.up()


@pytest.mark.parametrize("command", ["up", "refresh", "destroy"])
def test_another_accounts_credentials_are_refused(
    stack: RegistryStack, anothers_credentials: dict[str, str], command: str
) -> None:
    printed = refused(stack, command, "--yes", "--skip-preview", **anothers_credentials)
    refusal = r"AWS account ID not allowed: |must hold the account of the AWS credentials, "
    (account,) = set(re.findall(rf"(?:{refusal})(\d{{12}})", printed))
    assert account == stack.sandbox.aws("organizations").list_accounts()["Accounts"][-1]["Id"]


@pytest.mark.parametrize("command", ["up", "preview"])
def test_a_context_of_the_same_name_that_leads_to_another_cluster_is_refused(
    stack: RegistryStack, other_cluster: Layout, command: str
) -> None:
    """A rotation is under way: its Secrets must not come to be elsewhere."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stack.name}}
    kubectl = [str(stack.sandbox.tools.binaries / "kubectl"), f"--kubeconfig={other_cluster.kubeconfig}"]
    subprocess.run(
        [*kubectl, "apply", "--filename=-"], input=yaml.safe_dump(namespace), check=True, text=True, capture_output=True
    )
    options = ["--yes", "--skip-preview"] if command == "up" else []
    rotation = ["--config", "rotation.accessKey=2", "--config-path"]
    printed = refused(stack, command, *options, *rotation, KUBECONFIG=str(other_cluster.kubeconfig))
    assert "kubernetes:context is 'sandbox', but must lead to the stack's cluster" in printed
    others = subprocess.run(
        [*kubectl, "get", "secrets", "--namespace", stack.name, "--output=name"],
        check=True,
        text=True,
        capture_output=True,
    )
    assert others.stdout == ""


def test_a_destroy_acts_on_the_stacks_cluster_whichever_is_current(stack: RegistryStack, kubeconfig: Path) -> None:
    stack.pulumi("destroy", "--yes", "--skip-preview", KUBECONFIG=str(kubeconfig))
    assert objects(stack) <= {"serviceaccount/default"}
    assert stack.sandbox.aws("elb").describe_load_balancers()["LoadBalancerDescriptions"] == []
