"""The stored content of a video."""

from collections.abc import AsyncIterator

from vidintel.application.ports import (
    ObjectStorage,
    UnitOfWorkFactory,
)
from vidintel.application.result import as_result
from vidintel.application.videos.lookup import video_of
from vidintel.domain.errors import VideoNotFound
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.video import MediaInfo, StoredContent, Video, VideoId


class ContentReader:
    """The stored content of a video, which can be streamed in ranges."""

    def __init__(self, storage: ObjectStorage, content: StoredContent, video: Video) -> None:
        self._storage = storage
        self._content = content
        self._video = video

    @property
    def size_bytes(self) -> int:
        return self._content.size_bytes

    @property
    def sha256(self) -> str:
        return self._content.sha256

    @property
    def media(self) -> MediaInfo | None:
        return self._video.media

    async def link(self, *, media_type: str, file_name: str) -> str | None:
        """A URL from which a client can fetch the bytes directly, or ``None``. See `ObjectStorage.link`."""
        return await self._storage.link(self._content.key, media_type=media_type, file_name=file_name)

    def read(self, start: int, end: int | None) -> AsyncIterator[bytes]:
        """The bytes ``start <= i < end``."""
        return self._storage.read(self._content.key, start, end)


class OpenContent:
    """The original bytes of a video. For viewers. Fails with `VideoNotFound`."""

    def __init__(self, uow: UnitOfWorkFactory, storage: ObjectStorage) -> None:
        self._uow = uow
        self._storage = storage

    @as_result
    async def __call__(self, principal: Principal, video_id: VideoId) -> ContentReader:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
        if video.content is None:
            raise VideoNotFound(video_id)
        return ContentReader(self._storage, video.content, video)
