"""A pod's volumes: their files (pure), and writing them so that a change is seen whole or not at all.

The layout and rules are the kubelet's: `..data` points at a directory with one version of all files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes_asyncio.client import V1Pod, V1Volume

from sandbox.node.pod_environment import Objects, field_value, secret_name

DEFAULT_MODE = 0o644
_DATA = "..data"


class VolumeError(Exception):
    """A volume can't be made as its pod says; the message is the kubelet's."""


@dataclass(frozen=True)
class VolumeFile:
    """One file of a volume."""

    content: bytes
    mode: int
    owned: bool = False
    """Whether it belongs to the container's user (a token), not to root."""


def token_requests(volume: V1Volume) -> list[tuple[str | None, int]]:
    """Return audience and lifetime in seconds of each service account token in `volume`."""
    sources = volume.projected.sources or [] if volume.projected else []
    tokens = [source.service_account_token for source in sources if source.service_account_token]
    return [(token.audience, token.expiration_seconds or 3600) for token in tokens]


def volume_files(
    pod: V1Pod, volume: V1Volume, objects: Objects, tokens: Mapping[str | None, str]
) -> dict[str, VolumeFile]:
    """Return the files of a secret, configMap, downwardAPI or projected volume, by their path in it.

    `tokens` is audience -> token. Raises VolumeError.
    """
    try:
        return _projected(pod, volume, objects, tokens)
    except (VolumeError, ValueError) as error:
        raise VolumeError(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error


def _projected(
    pod: V1Pod, volume: V1Volume, objects: Objects, tokens: Mapping[str | None, str]
) -> dict[str, VolumeFile]:
    if volume.projected:
        sources, mode = volume.projected.sources or [], volume.projected.default_mode
    else:
        own = volume.secret or volume.config_map or volume.downward_api
        sources, mode = [volume], own.default_mode
    mode = DEFAULT_MODE if mode is None else mode
    files: dict[str, VolumeFile] = {}
    for source in sources:
        if source.secret:
            files |= _keys("secret", secret_name(source.secret), source.secret, objects.secrets, mode)
        if source.config_map:
            files |= _keys("configmap", source.config_map.name, source.config_map, objects.config_maps, mode)
        for item in (source.downward_api and source.downward_api.items) or []:
            files[item.path] = VolumeFile(field_value(pod, item.field_ref).encode(), item.mode or mode)
        token = getattr(source, "service_account_token", None)
        if token:
            files[token.path] = VolumeFile(tokens[token.audience].encode(), 0o600, owned=True)
    for path in files:
        if path.startswith(("/", "..")) or ".." in Path(path).parts:
            raise VolumeError(f"invalid path {path}")
    return files


def _keys(
    kind: str, name: str, source: Any, found: Mapping[str, Mapping[str, bytes]], mode: int
) -> dict[str, VolumeFile]:
    if name not in found:
        if source.optional:
            return {}
        raise VolumeError(f'{kind} "{name}" not found')
    keys = found[name]
    if not source.items:
        return {key: VolumeFile(value, mode) for key, value in keys.items()}
    if not source.optional:
        for item in source.items:
            if item.key not in keys:
                raise VolumeError(f"references non-existent {kind.replace('configmap', 'config')} key: {item.key}")
    return {
        item.path: VolumeFile(keys[item.key], mode if item.mode is None else item.mode)
        for item in source.items
        if item.key in keys
    }


def mode_for(file: VolumeFile, *, uid: int, gid: int, fs_group: int | None) -> int:
    """Return the mode that gives the one user who is mapped into a container what the kubelet's modes would give it.

    There files belong to root and its group or `fs_group`; here all belong to the container's user, so that its
    class of the mode (owner, group, other) is put in the owner's place.
    """
    if file.owned or uid == 0:
        return file.mode | 0o400
    if fs_group is not None:
        return ((file.mode | 0o440) & 0o070) << 3  # the kubelet gives the group read access
    return ((file.mode & 0o070) << 3) if gid == 0 else ((file.mode & 0o007) << 6)


def write_files(directory: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Make `directory` contain exactly `files` (path -> content and mode), all changes at once; nothing if it does."""
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / _DATA
    if data.is_symlink() and _read(data.resolve()) == dict(files):
        return
    old = data.resolve() if data.is_symlink() else None
    version = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    version.chmod(0o755)
    for path, (content, mode) in files.items():
        file = version / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(content)
        file.chmod(mode)
    link = directory / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(version.name)
    link.replace(data)
    wanted = {Path(path).parts[0] for path in files}
    for name in wanted:
        if not os.path.lexists(directory / name):
            (directory / name).symlink_to(f"{_DATA}/{name}")
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
    if old:
        shutil.rmtree(old)


def _read(version: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in version.rglob("*") if path.is_file()]
    try:
        return {str(path.relative_to(version)): (path.read_bytes(), path.stat().st_mode & 0o777) for path in files}
    except PermissionError:  # a file that its container may not read
        return {}
