from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.node.pod_environment import Objects
from sandbox.node.volumes import VolumeError, VolumeFile, mode_for, token_requests, volume_files, write_files
from tests.sandbox.node.pods import api_object, pod

OBJECTS = Objects(
    secrets={"users": {"htpasswd": b"registry:$2y", "more": b"1"}}, config_maps={"ca": {"ca.crt": b"PEM"}}
)


def files(volume: dict[str, Any], tokens: dict[str | None, str] | None = None) -> dict[str, VolumeFile]:
    return volume_files(pod(), api_object({"name": "v"} | volume, "V1Volume"), OBJECTS, tokens or {})


def test_a_secret_volume_has_a_file_for_each_key() -> None:
    assert files({"secret": {"secretName": "users"}}) == {
        "htpasswd": VolumeFile(b"registry:$2y", 0o644),
        "more": VolumeFile(b"1", 0o644),
    }


def test_items_choose_keys_paths_and_modes() -> None:
    items = [{"key": "htpasswd", "path": "auth/users", "mode": 0o400}]
    assert files({"secret": {"secretName": "users", "items": items, "defaultMode": 0o444}}) == {
        "auth/users": VolumeFile(b"registry:$2y", 0o400)
    }


def test_a_projected_volume_joins_its_sources_as_that_of_a_service_account_does() -> None:
    found = files(
        {
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                    {"configMap": {"name": "ca"}},
                    {
                        "downwardAPI": {
                            "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
                        }
                    },
                ]
            }
        },
        {None: "eyJ"},
    )
    assert {path: file.content for path, file in found.items()} == {
        "token": b"eyJ",
        "ca.crt": b"PEM",
        "namespace": b"shop",
    }
    assert found["token"] == VolumeFile(b"eyJ", 0o600, owned=True)


def test_tokens_are_asked_for_by_audience_and_lifetime() -> None:
    sources = [{"serviceAccountToken": {"path": "t", "audience": "sts.amazonaws.com", "expirationSeconds": 86400}}]
    volume = api_object({"name": "v", "projected": {"sources": sources}}, "V1Volume")
    assert token_requests(volume) == [("sts.amazonaws.com", 86400)]


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        (
            {"secret": {"secretName": "users", "items": [{"key": "k", "path": "p"}]}},
            "references non-existent secret key: k",
        ),
        (
            {"configMap": {"name": "ca", "items": [{"key": "k", "path": "p"}]}},
            "references non-existent config key: k",
        ),
        ({"secret": {"secretName": "users", "items": [{"key": "more", "path": "../p"}]}}, "invalid path ../p"),
    ],
)
def test_what_is_missing_keeps_the_volume_from_being_mounted(volume: dict[str, Any], message: str) -> None:
    with pytest.raises(VolumeError) as raised:
        files(volume)
    assert str(raised.value) == f'MountVolume.SetUp failed for volume "v" : {message}'


def test_what_is_optional_may_be_missing() -> None:
    assert files({"secret": {"secretName": "none", "optional": True}}) == {}


@pytest.mark.parametrize(
    ("uid", "gid", "fs_group", "mode", "expected"),
    [
        (0, 0, None, 0o400, 0o400),
        (65532, 65532, None, 0o400, 0),
        (65532, 65532, None, 0o644, 0o400),
        (65532, 65532, 2000, 0o400, 0o400),
        (65532, 0, None, 0o440, 0o400),
        (65532, 0, None, 0o400, 0),
    ],
)
def test_a_user_may_do_with_roots_files_what_the_mode_lets_it(
    uid: int, gid: int, fs_group: int | None, mode: int, expected: int
) -> None:
    assert mode_for(VolumeFile(b"", mode), uid=uid, gid=gid, fs_group=fs_group) & 0o700 == expected


def test_a_token_belongs_to_the_containers_user() -> None:
    assert mode_for(VolumeFile(b"", 0o600, owned=True), uid=65532, gid=65532, fs_group=None) == 0o600


def test_a_change_of_files_is_seen_whole(tmp_path: Path) -> None:
    write_files(tmp_path / "v", {"a": (b"1", 0o644), "d/b": (b"1", 0o400)})
    before = (tmp_path / "v" / "..data").resolve()
    write_files(tmp_path / "v", {"a": (b"2", 0o644), "c": (b"2", 0o644)})
    found = {path.name: path.read_bytes() for path in (tmp_path / "v").iterdir() if not path.name.startswith("..")}
    assert found == {"a": b"2", "c": b"2"}
    assert not before.exists()
    assert (tmp_path / "v" / "a").readlink() == Path("..data/a")


def test_files_that_are_as_wanted_are_left_alone(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": (b"1", 0o644)})
    before = (tmp_path / "..data").resolve()
    write_files(tmp_path, {"a": (b"1", 0o644)})
    assert (tmp_path / "..data").resolve() == before
