from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.node.image_user import UnknownUserError, home, user_and_group


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\napp:x:101:102:App:/home/app:/bin/sh\nbroken\nodd:x:1:x:::\n"
    )
    (tmp_path / "etc/group").write_text("root:x:0:\nstaff:x:50:app\n")
    return tmp_path


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0)),
        ("app", (101, 102)),
        ("101", (101, 102)),
        ("65532", (65532, 0)),
        ("65532:65533", (65532, 65533)),
        ("app:staff", (101, 50)),
        (":staff", (0, 50)),
    ],
)
def test_a_user_is_looked_up_in_the_image(rootfs: Path, user: str, expected: tuple[int, int]) -> None:
    assert user_and_group(rootfs, user) == expected


@pytest.mark.parametrize(("user", "message"), [("none", "user none"), ("odd", "user odd"), ("app:none", "group none")])
def test_a_name_that_the_image_does_not_have_is_an_error(rootfs: Path, user: str, message: str) -> None:
    with pytest.raises(UnknownUserError, match=f"unable to find {message}: no matching entries"):
        user_and_group(rootfs, user)


def test_numbers_need_no_files(tmp_path: Path) -> None:
    assert user_and_group(tmp_path, "1000:1000") == (1000, 1000)
    assert home(tmp_path, 0) == "/"


def test_a_home_directory_is_the_one_of_the_image(rootfs: Path) -> None:
    assert (home(rootfs, 101), home(rootfs, 7)) == ("/home/app", "/")


def test_a_file_that_is_a_link_is_looked_for_in_the_image_and_never_on_this_machine(rootfs: Path) -> None:
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to("/etc/group")
    (rootfs / "etc/group").write_text("app:x:7:8:::\n")
    assert user_and_group(rootfs, "app") == (7, 8)
