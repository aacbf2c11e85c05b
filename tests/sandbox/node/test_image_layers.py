from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.node.image_layers import LayerError, lay_out, resolve


def file(name: str, content: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    return entry(name, tarfile.REGTYPE, content, mode)


def directory(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    return entry(name, tarfile.DIRTYPE, mode=mode)


def symlink(name: str, to: str) -> tarfile.TarInfo:
    return entry(name, tarfile.SYMTYPE, to)


def hard_link(name: str, to: str) -> tarfile.TarInfo:
    return entry(name, tarfile.LNKTYPE, to)


def entry(name: str, kind: bytes, text: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.uid, made.gid = kind, mode, 1234, 1234
    if kind == tarfile.REGTYPE:
        made.size = len(text)
        made.pax_headers = {"comment": text}
    else:
        made.linkname = text
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("untouched")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def laid_out(root: Path) -> Callable[..., Path]:
    """Lays layers, each a list of entries, out over each other."""

    def lay(*layers: list[tarfile.TarInfo]) -> Path:
        paths = []
        for number, entries in enumerate(layers):
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as archive:
                for one in entries:
                    archive.addfile(one, io.BytesIO(one.pax_headers.get("comment", "").encode()))
            paths.append(root.parent / f"layer-{number}")
            packed = gzip.compress(content.getvalue()) if number % 2 else content.getvalue()
            paths[-1].write_bytes(packed)
        lay_out(paths, root)
        return root

    return lay


def test_files_keep_content_and_mode_and_belong_to_the_caller(laid_out: Callable[..., Path]) -> None:
    root = laid_out(
        [directory("bin"), file("bin/app", "#!", 0o4755), file("./etc/deep/er", "x"), directory("t", 0o1777)]
    )
    assert (root / "bin/app").read_text() == "#!"
    assert (root / "bin/app").stat().st_mode & 0o7777 == 0o4755
    assert (root / "t").stat().st_mode & 0o7777 == 0o1777
    assert (root / "etc/deep/er").stat().st_uid == os.geteuid()


def test_an_upper_layer_replaces_files_and_adds_to_directories(laid_out: Callable[..., Path]) -> None:
    root = laid_out(
        [file("a/one", "1"), file("a/two", "2"), directory("b"), file("b/x")],
        [directory("a", 0o700), file("a/two", "22"), file("b", "a file now")],
    )
    assert {path.name: path.read_text() for path in (root / "a").iterdir()} == {"one": "1", "two": "22"}
    assert (root / "a").stat().st_mode & 0o777 == 0o700
    assert (root / "b").read_text() == "a file now"


def test_what_replaces_a_hard_link_leaves_the_other_name_as_it_was(laid_out: Callable[..., Path]) -> None:
    root = laid_out([file("a", "1"), hard_link("b", "a")], [file("b", "2")])
    assert ((root / "a").read_text(), (root / "b").read_text()) == ("1", "2")


def test_a_whiteout_hides_what_lower_layers_have_and_nothing_of_its_own(laid_out: Callable[..., Path]) -> None:
    root = laid_out(
        [file("a/one"), file("a/two"), file("b/in"), file("c")],
        [file("a/.wh.one"), file(".wh.b"), file("c", "new"), file(".wh.c")],
    )
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["a", "a/two", "c"]
    assert (root / "c").read_text() == "new"


def test_an_opaque_whiteout_hides_all_that_lower_layers_have_in_a_directory(laid_out: Callable[..., Path]) -> None:
    root = laid_out(
        [file("a/one"), file("a/deep/two"), file("b")],
        [directory("a"), file("a/deep/new"), file("a/.wh..wh..opq")],
    )
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["a", "a/deep", "a/deep/new", "b"]


def test_a_directory_that_nobody_may_write_is_filled_all_the_same_and_can_be_removed(
    laid_out: Callable[..., Path],
) -> None:
    root = laid_out([directory("a", 0o555), file("a/b")])
    assert (root / "a/b").exists()
    assert (root / "a").stat().st_mode & 0o777 == 0o755


def test_devices_are_left_out_and_pipes_are_made(laid_out: Callable[..., Path]) -> None:
    root = laid_out([entry("null", tarfile.CHRTYPE), entry("disk", tarfile.BLKTYPE), entry("pipe", tarfile.FIFOTYPE)])
    assert [path.name for path in root.iterdir()] == ["pipe"]
    assert (root / "pipe").is_fifo()


def test_links_lead_where_they_lead_in_the_container(laid_out: Callable[..., Path]) -> None:
    root = laid_out(
        [directory("usr/lib"), symlink("lib", "usr/lib"), directory("run"), symlink("var/run", "/run")],
        [file("lib/a", "1"), file("var/run/b", "2"), hard_link("c", "lib/a")],
    )
    assert (root / "usr/lib/a").read_text() == "1"
    assert (root / "run/b").read_text() == "2"
    assert (root / "lib").is_symlink()
    assert (root / "c").samefile(root / "usr/lib/a")


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/../outside"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE])
def test_an_entry_that_leaves_the_root_is_refused(laid_out: Callable[..., Path], name: str, kind: bytes) -> None:
    with pytest.raises(LayerError, match="leaves the root directory"):
        laid_out([file("a"), entry(name, kind, "a")])


def test_a_hard_link_to_what_is_outside_is_refused(laid_out: Callable[..., Path]) -> None:
    with pytest.raises(LayerError, match="leaves the root directory"):
        laid_out([hard_link("a", "../outside")])


def test_whiteouts_hide_nothing_outside(laid_out: Callable[..., Path], root: Path) -> None:
    with pytest.raises(LayerError, match="leaves the root directory"):
        laid_out([file("../.wh.outside")])
    laid_out([file(".wh..."), file(".wh..")])
    assert (root.parent / "outside").read_text() == "untouched"
    assert root.is_dir()


def test_no_link_leads_a_later_entry_outside(laid_out: Callable[..., Path], root: Path) -> None:
    laid_out(
        [symlink("up", "../.."), symlink("absolute", str(root.parent)), symlink("target", "../outside")],
        [file("up/outside", "1"), file("absolute/outside", "2"), file("target", "3"), file("absolute/.wh.outside")],
    )
    assert (root.parent / "outside").read_text() == "untouched"
    assert (root / "outside").read_text() == "1"
    assert (root / str(root.parent)[1:] / "outside").read_text() == "2"
    assert (root / "target").read_text() == "3"
    assert not (root / "target").is_symlink()


def test_links_that_lead_in_a_circle_are_an_error(laid_out: Callable[..., Path]) -> None:
    with pytest.raises(LayerError, match="symbolic links"):
        laid_out([symlink("a", "b"), symlink("b", "a"), file("a/x")])


@pytest.mark.parametrize("content", [b"no archive", gzip.compress(b"x" * 2000)[:30]], ids=["text", "a part of one"])
def test_what_is_no_archive_is_named(root: Path, content: bytes) -> None:
    (root.parent / "sha256-abc").write_bytes(content)
    with pytest.raises(LayerError, match="layer sha256-abc can't be unpacked"):
        lay_out([root.parent / "sha256-abc"], root)


def test_a_path_is_resolved_as_in_the_container(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc/passwd").symlink_to("/nix/passwd")
    assert resolve(root, "/etc/../etc/passwd") == root / "nix/passwd"
    assert resolve(root, "../../..") == root
