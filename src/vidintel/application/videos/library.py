"""Use cases on the tenant's videos: list, read, edit, delete."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vidintel.application.ports import (
    Clock,
    Page,
    UnitOfWorkFactory,
    VideoFilter,
    VideoReads,
    VideoReport,
)
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.videos.lookup import locked_video_of, remove_video
from vidintel.domain.errors import VideoNotFound
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.video import CameraId, Video, VideoId


@dataclass(frozen=True, slots=True)
class VideoPage:
    items: Sequence[Video]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class VideoChanges:
    """The names of the ``fields`` to change, and their new values."""

    fields: frozenset[str]
    title: str | None = None
    description: str | None = None
    captured_at: datetime | None = None
    camera_id: CameraId | None = None


class ListVideos:
    """The tenant's videos, newest first. For viewers. Fails with `ValidationError` for a bad cursor."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(self, principal: Principal, filter_: VideoFilter, page: Page) -> VideoPage:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            return VideoPage(*await uow.videos.list(principal.tenant_id, filter_, page))


class GetVideo:
    """One video with its newest job. For viewers. Fails with `VideoNotFound`."""

    def __init__(self, reads: VideoReads) -> None:
        self._reads = reads

    @as_result
    async def __call__(self, principal: Principal, video_id: VideoId) -> VideoReport:
        principal.require(Permission.VIDEO_READ)
        report = await self._reads.video(principal.tenant_id, video_id)
        if report is None:
            raise VideoNotFound(video_id)
        return report


class UpdateVideo:
    """Edit the details that a client gave for a video. For editors. Fails with `VideoNotFound`, `ValidationError`."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    @as_result
    @retried
    async def __call__(self, principal: Principal, video_id: VideoId, changes: VideoChanges) -> Video:
        principal.require(Permission.VIDEO_UPDATE)
        async with self._uow() as uow:
            video = await locked_video_of(uow, principal, video_id)
            video.edit(
                self._clock.now(),
                fields=changes.fields,
                title=changes.title,
                description=changes.description,
                captured_at=changes.captured_at,
                camera_id=changes.camera_id,
            )
            await uow.videos.save(video)
            await uow.commit()
            return video


class DeleteVideo:
    """Remove a video with everything that was made from it. For admins. Work on it stops at its next heartbeat.

    The rows are removed at once; the next sweep removes the objects. Fails with `VideoNotFound`.
    """

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    @as_result
    @retried
    async def __call__(self, principal: Principal, video_id: VideoId) -> None:
        principal.require(Permission.VIDEO_DELETE)
        async with self._uow() as uow:
            video = await locked_video_of(uow, principal, video_id)
            await remove_video(uow, video, self._clock.now())
            await uow.commit()
