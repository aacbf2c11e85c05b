"""The Pulumi CLI that the program needs: an older one is refused before anything is registered."""

from __future__ import annotations

from typing import Any

import grpc
import pulumi
import pytest
import yaml

from registry.pulumi_version import SUPPORTED_PULUMI
from tests import mock_engine
from tests.mock_engine import PROGRAM, Deploy


class UnknownCallError(grpc.RpcError):
    """What a CLI answers that is too old to know the question."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNIMPLEMENTED


def test_the_program_and_its_project_require_the_same_versions(deploy: Deploy) -> None:
    deploy()
    assert mock_engine.REQUIRED_VERSIONS[-1] == SUPPORTED_PULUMI
    project = yaml.safe_load((PROGRAM.parent / "Pulumi.yaml").read_text())
    assert project["requiredPulumiVersion"] == SUPPORTED_PULUMI


def test_a_cli_that_does_not_know_the_question_is_refused(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> None:
        raise UnknownCallError

    monkeypatch.setattr(mock_engine, "require_version", unknown)
    with pytest.raises(pulumi.RunError, match=r"must be >=3\.217\.0, .*\n    Remedy: https"):
        deploy()
