from __future__ import annotations

import configparser
from pathlib import Path

from sandbox.cluster.control_plane import Cluster, cloud_config
from sandbox.layout import Layout
from tests.sandbox.account import ACCOUNT


def test_the_cloud_controller_manager_is_told_the_network_and_to_call_the_emulated_cloud(layout: Layout) -> None:
    config = configparser.ConfigParser()
    config.read_string(cloud_config(layout, ACCOUNT))
    assert dict(config["Global"]) == {
        "zone": "us-east-1a",
        "region": "us-east-1",
        "vpc": "vpc-1",
        "subnetid": "subnet-1",
        "kubernetesclusterid": "sandbox",
    }
    overrides = [config[name] for name in config.sections() if name.startswith("ServiceOverride")]
    assert [override["service"] for override in overrides] == [
        '"EC2"',
        '"Elastic Load Balancing"',
        '"Elastic Load Balancing v2"',
    ]
    assert {override["url"] for override in overrides} == {"http://127.9.0.1:4566"}


def test_no_secret_is_among_the_arguments_or_in_the_configuration_of_a_program(layout: Layout, tmp_path: Path) -> None:
    cluster = Cluster(layout, tmp_path)
    controller = cluster.cloud_controller_manager(ACCOUNT, tmp_path / "cloud.conf")
    programs = [*cluster.programs(), controller]
    assert not [one for one in programs if ACCOUNT.secret_access_key in " ".join(one.argv)]
    assert controller.environment["AWS_SECRET_ACCESS_KEY"] == ACCOUNT.secret_access_key
    assert ACCOUNT.secret_access_key not in cloud_config(layout, ACCOUNT)


def test_everything_listens_on_the_sandboxes_own_address(layout: Layout, tmp_path: Path) -> None:
    cluster = Cluster(layout, tmp_path)
    for program in [*cluster.programs(), cluster.cloud_controller_manager(ACCOUNT, tmp_path / "cloud.conf")]:
        flags = dict(flag.removeprefix("--").split("=", 1) for flag in program.argv[1:])
        listening = [
            value for name, value in flags.items() if name in ("bind-address", "listen-client-urls", "listen-peer-urls")
        ]
        assert listening
        assert all("127.9.0.1" in value for value in listening), program.name


def test_the_tokens_issuer_is_the_one_that_eks_tells_of_and_each_sandbox_has_its_own(
    layout: Layout, tmp_path: Path
) -> None:
    api_server = next(one for one in Cluster(layout, tmp_path).programs() if one.name == "kube-apiserver")
    assert f"--service-account-issuer={layout.service_account_issuer}" in api_server.argv
    assert f"--service-account-jwks-uri={layout.service_account_issuer}/keys" in api_server.argv
    assert Layout(name="other", network=9).service_account_issuer != layout.service_account_issuer
