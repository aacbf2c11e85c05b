from __future__ import annotations

import subprocess
from typing import Any

import pytest

from sandbox.node.runtime import namespaces
from sandbox.node.runtime.namespaces import NamespacesForbiddenError, require_user_namespaces


def test_a_machine_that_allows_user_namespaces_is_fine() -> None:
    require_user_namespaces()


def test_a_machine_that_forbids_user_namespaces_is_told_with_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        error = "Traceback (most recent call last):\nPermissionError: [Errno 1] unshare: Operation not permitted\n"
        return subprocess.CompletedProcess([], 1, "", error)

    monkeypatch.setattr(namespaces.subprocess, "run", forbidden)
    with pytest.raises(NamespacesForbiddenError) as raised:
        require_user_namespaces()
    assert "Operation not permitted" in str(raised.value)
