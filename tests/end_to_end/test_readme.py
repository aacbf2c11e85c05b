"""The README as a new user follows it: every command of its ways to AWS and to images, in the order of the text.

What the text leaves to its reader, and what the sandbox has in place of it, is printed: see `PROVIDED`.
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.demonstration import Crane
from sandbox.layout import REGION
from tests.end_to_end import docker_by_crane
from tests.end_to_end.images import push_program
from tests.end_to_end.reader import PASSWORD, Reader, commands, copy_of_the_checkout, lay_docker
from tests.end_to_end.registry_stack import Sandbox
from tests.waiting import wait_for

README = (Path(__file__).parents[2] / "README.md").read_text()
OPERATIONS = (Path(__file__).parents[2] / "docs/operations.md").read_text()
HOSTNAME, ZONE, TEXT_REGION = "registry.example.com", "example.com", "eu-central-1"
IN_THE_SANDBOX = "## See it without AWS"
"""Its commands are followed by test_sandbox_command.py."""
PROVIDED = f"""
  "yes" and passwords, typed where they are asked for; that of ci in REGISTRY_PASSWORD, as the text says
  the hosted zone {ZONE}
  Pulumi.prod.yaml with bucket.endpoint, the emulated S3
  {REGION} where the text has {TEXT_REGION}
  in PULUMI_HOME, plugins at the releases of the SDKs
  {HOSTNAME}/app:1 with a program that runs, for the nodes of a cluster
  docker, done by crane:
{docker_by_crane.__doc__}"""


@pytest.fixture(scope="module")
def zone(sandbox: Sandbox) -> Iterator[None]:
    route53 = sandbox.aws("route53")
    made = route53.create_hosted_zone(Name=ZONE, CallerReference="readme")["HostedZone"]["Id"]
    yield
    for record in records(sandbox, made):
        if record["Type"] not in ("NS", "SOA"):
            change = {"Action": "DELETE", "ResourceRecordSet": record}
            route53.change_resource_record_sets(HostedZoneId=made, ChangeBatch={"Changes": [change]})
    route53.delete_hosted_zone(Id=made)


def records(sandbox: Sandbox, zone_id: str) -> list[dict[str, Any]]:
    return sandbox.aws("route53").list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]


@pytest.fixture(scope="module")
def reader(sandbox: Sandbox, zone: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """In a checkout, with what is provided."""
    print(f"provided, and otherwise as the text has it:{PROVIDED}")
    checkout = copy_of_the_checkout(tmp_path_factory.mktemp("checkout"))
    programs = tmp_path_factory.mktemp("bin")
    lay_docker(programs)
    bucket = {"endpoint": sandbox.layout.cloud_tls_url}
    (checkout / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": {"bucket": bucket}}))
    environment = sandbox.environment
    own = {
        "PATH": f"{programs}:{environment['PATH']}",
        "DOCKER_CONFIG": str(tmp_path_factory.mktemp("docker")),
        "PIP_CACHE_DIR": str(Path.home() / ".cache/pip"),  # XDG_CACHE_HOME is the tests' own
        "PIP_NO_COMPILE": "1",  # most modules of the SDKs are never imported
    }
    yield Reader(checkout, environment | own, {TEXT_REGION: REGION})


def crane(reader: Reader, *arguments: str) -> str:
    done = subprocess.run(["crane", *arguments], env=reader.environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def root(reader: Reader) -> set[str]:
    """What is in the project's root."""
    return {path.name for path in reader.directory.iterdir()}


def in_file(reader: Reader, image: str) -> Path:
    return docker_by_crane.image_file(image, reader.environment["DOCKER_CONFIG"])


def logged_in(reader: Reader) -> dict[str, str]:
    """Who docker is logged in as, by server."""
    config = json.loads((Path(reader.environment["DOCKER_CONFIG"]) / "config.json").read_text())
    return {server: b64decode(one["auth"]).decode().partition(":")[0] for server, one in config["auths"].items()}


def settle(sandbox: Sandbox) -> None:
    """Wait until the load balancer knows none but the present pods, as a person's pace would have it."""

    def settled() -> bool:
        selector = "--selector=kubernetes.io/service-name=kube-registry"
        slices = sandbox.get("endpointslices", "--namespace=kube-system", selector)["items"]
        ready = {address for each in slices for one in each["endpoints"] or [] for address in one["addresses"]}
        pods = sandbox.get("pods", "--namespace=kube-system", "--selector=k8s-app=kube-registry")["items"]
        return ready == {pod["status"].get("podIP") for pod in pods if "deletionTimestamp" not in pod["metadata"]}

    wait_for(settled, "endpoints that are the pods")


def test_every_command_of_the_blocks_is_followed_here_or_where_the_sandbox_is_tested() -> None:
    followed = [*commands(README, "## Deploy it"), *commands(README, "## Use it")]
    assert sorted([*followed, *commands(README, IN_THE_SANDBOX)]) == sorted(commands(README))


@dataclass(frozen=True)
class Deployed:
    """What the way to AWS showed and left: `new` has what is new in the project's root after each of its commands."""

    shown: list[str]
    new: list[set[str]]


@pytest.fixture(scope="module")
def deployed(reader: Reader, sandbox: Sandbox) -> Deployed:
    """All else needs it: without a stack, Pulumi would ask for one."""
    before = root(reader)
    followed = Deployed([], [])
    for command in commands(README, "## Deploy it"):
        followed.shown.append(reader.run(command))
        followed.new.append(root(reader) - before)
    settle(sandbox)
    return followed


def test_the_way_to_aws_ends_with_a_registry(reader: Reader, deployed: Deployed) -> None:
    assert re.search(r"Resources:\s+\+ \d+ created", deployed.shown[-1])
    assert f"https://{HOSTNAME}" in deployed.shown[-1]
    settings = yaml.safe_load((reader.directory / "Pulumi.prod.yaml").read_text())["config"]
    assert settings["kubernetes:context"] == "sandbox"


def test_pulumi_install_makes_the_virtual_environment_and_nothing_else(deployed: Deployed) -> None:
    assert commands(README, "## Deploy it")[0] == "pulumi install"
    assert deployed.new == [{".venv"}] * len(deployed.new)


@pytest.mark.usefixtures("deployed")
def test_the_first_image_is_pushed(reader: Reader) -> None:
    first, *others = commands(README, "### Your first image")
    for command in (first, *others):
        reader.run(command)
    assert logged_in(reader) == {HOSTNAME: "registry"}
    image = f"{HOSTNAME}/hello:1"
    assert crane(reader, "digest", image) == crane(reader, "digest", "--tarball", str(in_file(reader, image)))
    assert reader.run("pulumi stack output loginCommand").strip() == first


@pytest.mark.usefixtures("deployed")
def test_a_colleague_pulls_with_a_password_of_their_own(reader: Reader, sandbox: Sandbox) -> None:
    *giving, log_in, pull = commands(README, "### A colleague's laptop")
    passwords = json.loads([reader.run(command) for command in giving][-1])
    assert set(passwords) == {"registry", "ann", "ci"}
    settle(sandbox)
    in_file(reader, f"{HOSTNAME}/hello:1").unlink()
    reader.answers[PASSWORD] = passwords["ann"]
    reader.environment["REGISTRY_PASSWORD"] = passwords["ci"]
    assert passwords["ann"] not in reader.run(log_in)
    assert logged_in(reader) == {HOSTNAME: "ann"}
    reader.run(pull)
    with tarfile.open(in_file(reader, f"{HOSTNAME}/hello:1")) as image:
        (layer,) = [name for name in image.getnames() if name.endswith(".tar.gz")]
        content = image.extractfile(layer)
        with tarfile.open(fileobj=content) as files:
            assert "./endpoint.py" in files.getnames()


@pytest.mark.usefixtures("deployed")
def test_a_ci_job_pushes_with_what_its_secret_store_has(reader: Reader) -> None:
    for command in commands(README, "### A CI job"):
        reader.run(command)
    assert logged_in(reader) == {}
    reader.run(commands(README, "### Your first image")[0])
    image = f"{HOSTNAME}/app:1"
    assert crane(reader, "digest", image) == crane(reader, "digest", "--tarball", str(in_file(reader, image)))


@pytest.mark.usefixtures("deployed")
def test_a_clusters_node_pulls_an_image_and_runs_it(reader: Reader, sandbox: Sandbox, tmp_path: Path) -> None:
    program = sandbox.tools.binaries / "crane"
    client = Crane(sandbox.layout, sandbox.account, sandbox.tools.binaries)
    client.log_in(HOSTNAME, "registry", reader.run("pulumi stack output --show-secrets password").strip())
    digest = push_program(client, f"{HOSTNAME}/app:1", tmp_path, program, "--cmd", "registry,serve,--address=:5000")
    make_secret, *others = commands(README, "### A cluster's nodes")
    reader.run(make_secret)
    secret = sandbox.get("secret", "kube-registry")
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    ((server, account),) = json.loads(b64decode(secret["data"][".dockerconfigjson"]))["auths"].items()
    assert (server, account["username"]) == (HOSTNAME, "registry")
    assert reader.run("pulumi stack output pullSecretCommand").strip() == make_secret
    shown = [reader.run(command) for command in others]
    assert 'deployment "app" successfully rolled out' in shown[-1]
    (pod,) = sandbox.get("pods", "--selector=app=app")["items"]
    assert pod["status"]["containerStatuses"][0]["imageID"] == f"{HOSTNAME}/app@{digest}"
    sandbox.kubectl("delete", "deployment/app", "secret/kube-registry")


@pytest.mark.usefixtures("deployed")
def test_the_teardown_of_the_operations_page_leaves_nothing(reader: Reader, sandbox: Sandbox) -> None:
    bucket = reader.run("pulumi stack output bucketName").strip()
    for command in commands(OPERATIONS, "## Tear down"):
        reader.run(command)
    assert bucket not in {one["Name"] for one in sandbox.aws("s3").list_buckets()["Buckets"]}
    assert sandbox.get("services", "--namespace=kube-system", "--selector=k8s-app=kube-registry")["items"] == []
