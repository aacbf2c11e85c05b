"""What the documents tell people to run and to look at is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/changes.md",
    "docs/deployments.md",
    "docs/operations.md",
    "docs/rights.md",
    "docs/sandbox.md",
    "docs/settings.md",
    "docs/state.md",
    "docs/troubleshooting.md",
]
TARGETS = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def commands(text: str) -> set[str]:
    """What is given to make in code and code blocks."""
    return set(re.findall(r"(?:^|`|=FILE )make ([a-z]+(?:-[a-z]+)*)", text, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_command_of_a_document_is_one(document: str) -> None:
    assert commands((CHECKOUT / document).read_text()) <= TARGETS


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_names_is_there(document: str) -> None:
    text = (CHECKOUT / document).read_text()
    named = {
        *re.findall(r"`((?:registry|sandbox|tests|docs)/[\w./*-]*)`", text),
        *re.findall(r"\]\(([\w./-]+)\)", text),
    }
    folder = (CHECKOUT / document).parent
    assert {name for name in named if not [*CHECKOUT.glob(name.rstrip("/")), *folder.glob(name.rstrip("/"))]} == set()


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_section_that_a_document_links_to_is_there(document: str) -> None:
    path = CHECKOUT / document
    links = re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", path.read_text())
    assert {(file, to) for file, to in links if to not in anchors((path.parent / file) if file else path)} == set()


def test_every_document_is_among_these() -> None:
    assert {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "docs").glob("*.md")} <= {*DOCUMENTS}


def test_the_workflow_runs_make_targets() -> None:
    (job,) = yaml.safe_load((CHECKOUT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    run = [step["run"] for step in job["steps"] if "run" in step]
    assert commands("\n".join(run)) == {"machine", "test"}


def test_make_alone_prints_every_target_that_is_for_people() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    told = {line.split()[0]: line for line in printed.splitlines()}
    assert (
        {"sandbox", "sandbox-down", "env", "machine", "test", "unit", "upgrade", "tools-archive"}
        <= told.keys()
        <= TARGETS
    )
    assert 'eval "$(make -s env)"' in told["env"]
