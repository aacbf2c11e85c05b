"""What a pod's containers get from other objects: Secrets, ConfigMaps, Services, tokens, kept current."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes_asyncio.client import ApiException, V1Container, V1Pod, V1Volume

from sandbox.node.pod_environment import Objects, content, references
from sandbox.node.runtime.container import Mount
from sandbox.node.volumes import mode_for, token_requests, volume_files, write_files

NOT_FOUND = 404
TOKEN_REFRESH = 0.8
"""The part of a token's lifetime after which the kubelet asks for a new one."""


class PodFiles:
    """The objects and volumes of one pod; volumes are kept below `directory`, which others may not read."""

    def __init__(self, api: Any, pod: V1Pod, directory: Path) -> None:
        """`api` is a CoreV1Api (its types know no JSON bodies); the status of `pod` has its address."""
        self._api = api
        self.pod = pod
        """Replaced when the pod's labels or annotations change."""
        self._directory = directory
        self._tokens: dict[str | None, tuple[str, float]] = {}
        self._users: dict[str, tuple[int, int]] = {}
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def objects(self) -> Objects:
        """Fetch what the pod refers to, as it is now."""
        namespace, wanted = self.pod.metadata.namespace, references(self.pod)
        secrets: dict[str, Mapping[str, bytes]] = {}
        for name in wanted.secrets:
            if secret := await _if_exists(self._api.read_namespaced_secret(name, namespace)):
                secrets[name] = content(None, secret.data)
        config_maps: dict[str, Mapping[str, bytes]] = {}
        for name in wanted.config_maps:
            if found := await _if_exists(self._api.read_namespaced_config_map(name, namespace)):
                config_maps[name] = content(found.data, found.binary_data)
        services = (await self._api.list_namespaced_service(namespace)).items
        if namespace != "default" and (
            own := await _if_exists(self._api.read_namespaced_service("kubernetes", "default"))
        ):
            services.append(own)
        return Objects(secrets, config_maps, services)

    async def mounts(self, container: V1Container, objects: Objects, uid: int, gid: int) -> list[Mount]:
        """Write the volumes of `container`, which runs as `uid` and `gid`, and return its mounts.

        Raises VolumeError.
        """
        self._users[container.name] = (uid, gid)
        volumes = {volume.name: volume for volume in self.pod.spec.volumes or []}
        mounts = []
        for mount in sorted(container.volume_mounts or [], key=lambda one: one.mount_path):
            volume = volumes[mount.name]
            source = self._path(container, volume)
            if volume.empty_dir:
                source.mkdir(parents=True, exist_ok=True)
                source.chmod(0o777)
            else:
                await self._write(container, volume, objects)
            mounts.append(Mount(source, mount.mount_path, bool(mount.read_only) or not volume.empty_dir))
        return mounts

    async def refresh(self) -> None:
        """Bring the volumes of containers that have been started up to date. Raises VolumeError."""
        objects = await self.objects()
        for container in self.pod.spec.containers:
            for volume in self.pod.spec.volumes or []:
                used = any(mount.name == volume.name for mount in container.volume_mounts or [])
                if container.name in self._users and used and not volume.empty_dir:
                    await self._write(container, volume, objects)

    def _path(self, container: V1Container, volume: V1Volume) -> Path:
        shared = "volumes" if volume.empty_dir else f"containers/{container.name}"
        return self._directory / shared / volume.name

    async def _write(self, container: V1Container, volume: V1Volume, objects: Objects) -> None:
        tokens = {audience: await self._token(audience, seconds) for audience, seconds in token_requests(volume)}
        files = volume_files(self.pod, volume, objects, tokens)
        uid, gid = self._users[container.name]
        context = self.pod.spec.security_context
        fs_group = context.fs_group if context else None
        write_files(
            self._path(container, volume),
            {path: (file.content, mode_for(file, uid=uid, gid=gid, fs_group=fs_group)) for path, file in files.items()},
        )

    async def _token(self, audience: str | None, seconds: int) -> str:
        token, refresh_at = self._tokens.get(audience, ("", 0.0))
        if time.monotonic() >= refresh_at:
            meta = self.pod.metadata
            body: dict[str, Any] = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {
                    "audiences": [audience] if audience else [],
                    "expirationSeconds": seconds,
                    "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "uid": meta.uid},
                },
            }
            account = self.pod.spec.service_account_name or "default"
            answer = await self._api.create_namespaced_service_account_token(account, meta.namespace, body)
            token = answer.status.token
            self._tokens[audience] = (token, time.monotonic() + TOKEN_REFRESH * seconds)
        return token


async def _if_exists(request: Any) -> Any:
    try:
        return await request
    except ApiException as error:
        if error.status == NOT_FOUND:
            return None
        raise
