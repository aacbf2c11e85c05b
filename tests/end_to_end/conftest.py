"""Fixtures of the end-to-end tests: one sandbox for all of them, and a stack for each module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sandbox.layout import Layout
from sandbox.tools.build import toolchain
from tests import networks
from tests.end_to_end.changing import Note
from tests.end_to_end.registry_client import Repeatedly
from tests.end_to_end.registry_stack import RegistryStack, Sandbox, running_sandbox

FIGURES = "change of a living stack"
"""The property of tests that has what changes of settings did to clients, as rows of a table."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what was counted, by whichever worker."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    if figures := [row for report in reports for name, row in report.user_properties if name == FIGURES]:
        terminalreporter.section("changes of a living stack")
        terminalreporter.write_line("| setting | way | pulls | failed | pushes | failed | longest outage, s |")
        terminalreporter.write_line("|---|---|---|---|---|---|---|")
        for row in figures:
            terminalreporter.write_line(str(row))


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Keeps what a change, and the way there or back, did to those who pulled and pushed meanwhile."""

    def keep(change: str, way: str, pulls: Repeatedly, pushes: Repeatedly) -> None:
        counts = (pulls.count, len(pulls.failures), pushes.count, len(pushes.failures))
        outage = max(pulls.outage, pushes.outage)
        record_property(FIGURES, f"| {change} | {way} | {' | '.join(map(str, counts))} | {outage:.1f} |")

    return keep


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this needs the sandbox."""
    for item in items:
        if "end_to_end" in item.path.parts:
            item.add_marker(pytest.mark.sandbox)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(Layout("end-to-end", networks.END_TO_END), toolchain()) as running:
        yield running


@pytest.fixture(scope="module")
def stack(
    sandbox: Sandbox, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryStack]:
    name = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    made = RegistryStack(sandbox, name, tmp_path_factory.mktemp("project"))
    yield made
    made.remove()
