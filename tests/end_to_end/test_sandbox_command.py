"""`python -m sandbox`, which `make sandbox` and its likes call, from nothing to nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.aws import server
from sandbox.layout import PORTS, Account, Layout
from sandbox.processes import running
from sandbox.tools.build import toolchain
from tests import networks
from tests.end_to_end.reader import commands as commands_of
from tests.waiting import COMMAND_SECONDS, wait_for

LAYOUT = Layout("command", networks.COMMAND)
CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text()
IN_THE_SANDBOX = "## See it without AWS"


@pytest.fixture(scope="module", autouse=True)
def stopped() -> Iterator[None]:
    """In the end nothing runs; the tools are built before, however long that takes."""
    toolchain()
    yield
    sandbox("down")


def sandbox(command: str) -> str:
    """What `python -m sandbox COMMAND` prints."""
    argv = [sys.executable, "-m", "sandbox", "--name", LAYOUT.name, "--network", str(LAYOUT.network), command]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listening(prefix: str = f"127.{LAYOUT.network}.") -> set[int]:
    """The ports of the sandbox's addresses that begin with `prefix` on which anything listens."""
    listeners = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    addresses: list[Any] = [listener.laddr for listener in listeners]
    return {address.port for address in addresses if address.ip.startswith(prefix)}


def test_one_command_shows_the_whole_product() -> None:
    shown = sandbox("show")
    assert "https://registry.sandbox.test" in shown
    assert re.search(r"registry-bucket-\w+", shown)
    assert ".us-east-1.elb.amazonaws.com" in shown
    assert re.search(r"registry.sandbox.test/hello:1@sha256:\w{64}\b", shown)
    for step in ("tools", "pulumi up", "log in", "push", "pull"):
        assert re.search(rf"{step} +[\d.]+ s", shown), step


def in_the_environment(command: str) -> subprocess.CompletedProcess[str]:
    """Run `command` in a shell in which `make env` was evaluated."""
    script = f"{sandbox('env')}cd {CHECKOUT}; {command}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)


def test_the_environment_trusts_the_sandbox_and_is_logged_in() -> None:
    digest = in_the_environment("crane digest registry.sandbox.test/hello:1")
    assert digest.stdout.startswith("sha256:"), digest.stderr


def test_the_readmes_images_are_pushed_pulled_and_seen_by_another_client() -> None:
    commands = [one for one in commands_of(README, IN_THE_SANDBOX) if not one.startswith(("make ", 'eval "$(make '))]
    assert [one.split()[0] for one in commands] == ["tar", "crane", "crane", "printf"]
    shown = in_the_environment(f"set -e; cd {LAYOUT.directory}/project; {'; '.join(commands)}")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout.splitlines()[-1]) == {"name": "hello", "tags": ["1", "2"]}


REQUESTS = """python -c 'import requests, sys; print(requests.get(sys.argv[1]).status_code)'"""
URLLIB = """python -c 'import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1]).status)
except urllib.error.HTTPError as answer:
    print(answer.code)'"""


@pytest.mark.parametrize(
    "client",
    [
        "curl --silent --show-error --output /dev/null --write-out %{http_code}",
        f"unset HTTP_PROXY HTTPS_PROXY NO_PROXY; {REQUESTS}",
        f"unset http_proxy https_proxy no_proxy; {REQUESTS}",
        URLLIB,
    ],
    ids=["curl", "requests, lower case", "requests, upper case", "urllib"],
)
def test_clients_reach_the_registry_by_its_name_and_the_cloud_by_its_address(client: str) -> None:
    by_name = in_the_environment(f"{client} https://registry.sandbox.test/v2/")
    assert by_name.stdout.strip() == "401", by_name.stderr
    by_address = in_the_environment(f"{client} $AWS_ENDPOINT_URL/")
    assert by_address.stdout.strip() == "403", by_address.stderr


PULL = """python - <<'END'
import hashlib, json, os, requests
logins = json.load(open(os.environ["DOCKER_CONFIG"] + "/config.json"))["auths"]
session = requests.Session()
session.headers["Authorization"] = "Basic " + logins["registry.sandbox.test"]["auth"]
hello = "https://registry.sandbox.test/v2/hello"
digest = session.get(hello + "/manifests/1").json()["layers"][0]["digest"]
layer = session.get(hello + "/blobs/" + digest)
print(len(layer.history), digest == "sha256:" + hashlib.sha256(layer.content).hexdigest())
END"""


def test_pythons_requests_pulls_a_layer_though_it_keeps_its_proxy_when_it_is_redirected_to_s3() -> None:
    pulled = in_the_environment(PULL)
    assert pulled.stdout.split() == ["1", "True"], pulled.stderr


def test_a_preview_says_nothing_but_what_it_would_change() -> None:
    preview = in_the_environment(f"cd {LAYOUT.directory}/project; pulumi --stack sandbox preview --diff")
    assert re.search(r"^Resources:\n +\d+ unchanged\n", preview.stdout, re.MULTILINE), preview.stdout + preview.stderr
    assert "warning" not in preview.stdout + preview.stderr
    assert preview.stderr == ""


def test_it_takes_the_ports_that_are_looked_at_before_its_start() -> None:
    assert listening(LAYOUT.address) == set(PORTS)


def test_up_again_starts_nothing_twice() -> None:
    before = running(LAYOUT)
    sandbox("up")
    assert running(LAYOUT) == before
    assert len(sandbox("status").splitlines()) > len(before)


def test_destroy_leaves_nothing_in_aws() -> None:
    sandbox("destroy")
    account = Account.load(LAYOUT.account_file)

    def aws(service: str) -> Any:
        return server.client(service, LAYOUT.cloud_url, account.access_key_id, account.secret_access_key)

    assert aws("s3").list_buckets()["Buckets"] == []
    assert [user["UserName"] for user in aws("iam").list_users()["Users"]] == ["administrator"]
    assert aws("elb").describe_load_balancers()["LoadBalancerDescriptions"] == []
    assert aws("acm").list_certificates()["CertificateSummaryList"] == []
    records = aws("route53").list_resource_record_sets(HostedZoneId=account.zone_id)["ResourceRecordSets"]
    assert {record["Type"] for record in records} == {"NS", "SOA"}


def test_a_sandbox_that_was_killed_starts_again() -> None:
    for process in running(LAYOUT):
        psutil.Process(process.pid).kill()
    wait_for(lambda: running(LAYOUT) == [], "end of what was killed")
    sandbox("up")
    assert {"aws", "kube-apiserver", "node", "edge"} <= {process.name for process in running(LAYOUT)}


def test_down_leaves_no_process_no_port_and_no_file() -> None:
    pids = [process.pid for process in running(LAYOUT)]
    assert listening()
    assert "stopped: " in sandbox("down")
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert listening() == set()
    assert not LAYOUT.directory.exists()
    assert "nothing was running" in sandbox("down")
