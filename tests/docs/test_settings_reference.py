"""What documents say of the settings is what the models say."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from docs.settings_reference import README, REFERENCE, leaves, reference, with_table
from registry.settings import Settings


def test_the_documents_are_as_make_docs_writes_them() -> None:
    assert REFERENCE.read_text() == reference(), "make docs"
    readme = README.read_text()
    assert readme == with_table(readme), "make docs"


def test_every_setting_is_there_with_those_inside_objects() -> None:
    groups, paths = set(), []
    for field in Settings.model_fields.values():
        if isinstance(field.default, BaseModel):
            groups.add(field.alias)
            paths += [f"{field.alias}.{inner.alias}" for inner in type(field.default).model_fields.values()]
        else:
            paths.append(field.alias)
    assert [one.path.removesuffix(".<name>") for one in leaves()] == paths
    sections = re.findall(r"^##+ (\S+)$", reference(), re.MULTILINE)
    assert sorted(sections) == sorted([*groups, *(one.path for one in leaves())])


def section(path: str) -> str:
    return reference().partition(f"# {path}\n")[2].partition("\n#")[0]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("hostname", "*text; required*"),
        ("zone", "*text; default: the hostname's parent domain*"),
        ("zone", "It must be a domain that holds the hostname."),
        ("replicas", "It must be at least 1."),
        ("chunkSize", "*text; default: `16Mi`*"),
        ("chunkSize", "It must be a size from 5Mi to 64Mi"),
        ("controller", "It must be Deployment or ReplicationController."),
        ("users", "Each must be at most 63 letters"),
        ("users", "pulumi config set-all --json"),
        ("loadBalancer.allowedCidrs", "It must have at least 1 entry."),
        ("bucket.kmsKeyArn", "It must be the ARN of a KMS key, not of an alias."),
        ("rotation.password.<name>", "pulumi config set --path rotation.password.registry 2026-11-25"),
    ],
)
def test_a_section_says_type_default_rule_and_command(path: str, said: str) -> None:
    assert said in section(path)
