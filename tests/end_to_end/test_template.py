"""A project made from this repository by `pulumi new`, under another name."""

from __future__ import annotations

import re
import shutil
import sysconfig

import pytest
import yaml

from sandbox.layout import DOMAIN, REGION
from tests.end_to_end.reader import Reader, copy_of_the_checkout
from tests.end_to_end.registry_stack import Sandbox

HOSTNAME = f"images.{DOMAIN}"
KEPT = {"Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py", "registry", "requirements.txt", ".venv"}
"""What the README says that the program is."""


@pytest.fixture(scope="module")
def project(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Someone in the new project `images`, with a stack `dev`."""
    template = copy_of_the_checkout(tmp_path_factory.mktemp("template"))
    packages = sysconfig.get_path("purelib")
    reader = Reader(
        tmp_path_factory.mktemp("images"),
        # What pip finds so it need not install: test_readme.py has it do so.
        sandbox.environment | {"PYTHONPATH": packages},
        answers={
            r"Project description": "",
            r"Stack name": "dev",
            r"\(aws:region\)": REGION,
            r"\(hostname\)": HOSTNAME,
            r"\(kubernetes:context\)": "sandbox",
        },
    )
    reader.run(f"pulumi new {template} --name images")
    return reader


def test_it_asks_for_region_hostname_and_context(project: Reader) -> None:
    made = yaml.safe_load((project.directory / "Pulumi.yaml").read_text())
    assert made["name"] == "images"
    assert "template" not in made
    settings = yaml.safe_load((project.directory / "Pulumi.dev.yaml").read_text())["config"]
    assert settings == {"aws:region": REGION, "images:hostname": HOSTNAME, "kubernetes:context": "sandbox"}


def test_what_is_not_the_program_may_be_deleted(project: Reader) -> None:
    for path in project.directory.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert {path.name for path in project.directory.iterdir()} == KEPT
    # The account is that of the credentials, so the first preview tells the command that names it.
    remedy = re.search(r"pulumi config set aws:allowedAccountIds '.*?'", project.run("pulumi preview", fails=True))
    assert remedy
    project.run(remedy[0])
    assert re.search(r"\+ \d\d to create", project.run("pulumi preview"))


MISTAKES = {
    "replicas": "0",
    "controller": "DaemonSet",
    "--path bucket.noncurrentVersionDays": "0",
    "--path bucket.endpoint": "http://s3.example.com",
    "--path loadBalancer.allowedCidrs": "203.0.113.0/24",
    "--path rotation.password": "2",
}


def test_the_commands_that_remedies_name_mend_the_mistakes(project: Reader) -> None:
    for setting, value in MISTAKES.items():
        project.run(f"pulumi config set {setting} {value}")
    shown = project.run("pulumi preview", fails=True)
    assert f"the configuration has {len(MISTAKES)} mistakes:" in shown
    remedies = re.findall(r"Remedy: .*?(pulumi config .*)", shown)
    assert len(remedies) == len(MISTAKES), shown
    for remedy in remedies:
        project.run(remedy)
    assert re.search(r"\+ \d\d to create", project.run("pulumi preview"))
