"""What is told of an older image."""

from __future__ import annotations

import pytest

from registry.releases import release_of, warning_about

DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("registry:3.1.2", (3, 1, 2)),
        (f"registry:3.1.2{DIGEST}", (3, 1, 2)),
        ("mirror.example.com:5000/library/registry:2.8.3", (2, 8, 3)),
        ("mirror.example.com/registry:v3.0.0-rc.1", (3, 0, 0)),
        ("registry:3", None),
        ("registry:3.1", None),
        (f"registry{DIGEST}", None),
        ("10.20.30.40:5000/registry:3", None),
    ],
)
def test_a_release_is_known_by_a_full_version_in_the_tag(image: str, release: tuple[int, int, int] | None) -> None:
    assert release_of(image) == release


@pytest.mark.parametrize(
    ("image", "sources"),
    [
        ("registry:2.8.3", {"#4358"}),
        ("registry:3.0.0", {"CVE-2026-41888", "#4358"}),
        ("registry:3.1.0", {"#4891", "CVE-2026-41888", "#4358"}),
        (f"registry:3.1.1{DIGEST}", {"#4891"}),
    ],
)
def test_an_older_release_is_warned_of_with_those_of_its_faults_that_it_has(image: str, sources: set[str]) -> None:
    warning = warning_about(image) or ""
    assert {source for source in ("#4891", "CVE-2026-41888", "#4358") if source in warning} == sources
    assert f"the image {image} " in warning


def test_the_release_that_is_without_the_faults_is_named() -> None:
    assert "Release 3.1.1 has none of them." in (warning_about("registry:2.8.3") or "")
    assert "Release 3.1.2 has none of them." in (warning_about("registry:3.1.0") or "")


@pytest.mark.parametrize("image", ["registry:3.1.2", "registry:4.0.0", f"registry{DIGEST}", f"registry:3{DIGEST}"])
def test_nothing_is_claimed_of_what_has_no_known_faults_or_no_release(image: str) -> None:
    assert warning_about(image) is None


@pytest.mark.parametrize("image", ["registry:3", "registry:3.1", "10.20.30.40:5000/registry:stable"])
def test_a_tag_that_moves_from_release_to_release_is_warned_of(image: str) -> None:
    assert f"the image {image} may be another release tomorrow" in (warning_about(image) or "")
