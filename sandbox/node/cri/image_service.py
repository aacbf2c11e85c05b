"""ImageService of the CRI: the node's own images, and those that are pulled.

The methods are documented in the CRI's `api.proto`.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc

from sandbox.node.cri.answers import abort
from sandbox.node.cri.stubs import api_pb2 as cri
from sandbox.node.cri.stubs import api_pb2_grpc
from sandbox.node.images import Image, ImageNotFoundError, Images, InvalidImageNameError
from sandbox.node.pulled_images import Credentials, PulledImages, PullError


class ImageService(api_pb2_grpc.ImageServiceServicer):
    """The images of one node."""

    def __init__(self, own: Images, pulled: PulledImages, directory: Path) -> None:
        """`own` are there without a pull; `directory` is where those are kept that are `pulled`."""
        self._own = own
        self._pulled = pulled
        self._directory = directory

    def find(self, reference: str) -> Image:
        """Return the image of that id or name. Raises ImageNotFoundError, InvalidImageNameError."""
        try:
            return self._own.find(reference)
        except ImageNotFoundError:
            return self._pulled.find(reference)

    async def ListImages(self, request: cri.ListImagesRequest, context: Any) -> cri.ListImagesResponse:
        images = [_described(image) for image in [*self._own.all(), *self._pulled.all()]]
        wanted = request.filter.image.image
        return cri.ListImagesResponse(
            images=[one for one in images if wanted in ("", one.id, *one.repo_tags, *one.repo_digests)]
        )

    async def ImageStatus(self, request: cri.ImageStatusRequest, context: Any) -> cri.ImageStatusResponse:
        try:
            return cri.ImageStatusResponse(image=_described(self.find(request.image.image)))
        except (ImageNotFoundError, InvalidImageNameError):
            return cri.ImageStatusResponse()

    async def PullImage(self, request: cri.PullImageRequest, context: Any) -> cri.PullImageResponse:
        reference, given = request.image.image, request.auth
        credentials = Credentials(
            given.username, given.password, given.auth, given.identity_token, given.registry_token
        )
        try:
            with suppress(ImageNotFoundError):
                return cri.PullImageResponse(image_ref=self._own.find(reference).image_id)
            image = await asyncio.to_thread(self._pulled.pull, reference, credentials)
        except InvalidImageNameError as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except PullError as error:
            await abort(context, grpc.StatusCode.UNKNOWN, f'failed to pull and unpack image "{reference}": {error}')
        return cri.PullImageResponse(image_ref=image.image_id)

    async def RemoveImage(self, request: cri.RemoveImageRequest, context: Any) -> cri.RemoveImageResponse:
        await asyncio.to_thread(self._pulled.remove, request.image.image)
        return cri.RemoveImageResponse()

    async def ImageFsInfo(self, request: cri.ImageFsInfoRequest, context: Any) -> cri.ImageFsInfoResponse:
        found = os.statvfs(self._directory)
        usage = cri.FilesystemUsage(
            timestamp=time.time_ns(),
            fs_id=cri.FilesystemIdentifier(mountpoint=str(self._directory)),
            used_bytes=cri.UInt64Value(value=(found.f_blocks - found.f_bfree) * found.f_frsize),
            inodes_used=cri.UInt64Value(value=found.f_files - found.f_ffree),
        )
        return cri.ImageFsInfoResponse(image_filesystems=[usage], container_filesystems=[usage])


def _described(image: Image) -> cri.Image:
    config = image.config
    named = bool(config.user_name)
    return cri.Image(
        id=image.image_id,
        repo_tags=image.repo_tags,
        repo_digests=image.repo_digests,
        size=config.size,
        uid=None if named else cri.Int64Value(value=config.user),
        username=config.user_name,
    )
