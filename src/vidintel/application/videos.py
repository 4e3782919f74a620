"""Use cases on videos: register, read, edit, delete."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from vidintel.application.ports import (
    Clock,
    JobProgress,
    JobReport,
    Live,
    ObjectStorage,
    Page,
    UnitOfWork,
    UnitOfWorkFactory,
    VideoFilter,
    VideoReads,
    VideoReport,
)
from vidintel.application.repeating import repeated
from vidintel.application.result import as_result
from vidintel.application.sniffing import checked
from vidintel.application.specs import SpecRequest, SpecResolver
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import ServiceUnavailable, StorageError, StorageUnavailable, VideoNotFound
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.retention import RetentionRules
from vidintel.domain.video import MediaInfo, SourceKind, StoredContent, Video, VideoId, VideoSource

_NO_PROGRESS = JobProgress(segments_total=0, segments_done=0, frames_total=0, frames_done=0)


@dataclass(frozen=True, slots=True)
class VideoDetails:
    """What a client says about the video it sends."""

    title: str | None = None
    description: str | None = None
    captured_at: datetime | None = None
    spec: SpecRequest = field(default_factory=SpecRequest)


class IncomingVideo(Protocol):
    """A video on its way in. Details may arrive after the bytes, as a form's fields may follow its file."""

    @property
    def file_name(self) -> str: ...

    def details(self) -> VideoDetails:
        """What is known so far; complete once ``chunks`` is exhausted."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes. Raises `ValidationError` for details that do not fit."""
        ...


@dataclass(frozen=True, slots=True)
class RegisteredVideo:
    video: Video
    job: JobReport


@dataclass(frozen=True, slots=True)
class VideoPage:
    items: Sequence[Video]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class VideoChanges:
    """The ``fields`` to change (of ``title``, ``description``, ``captured_at``) and their new values."""

    fields: frozenset[str]
    title: str | None = None
    description: str | None = None
    captured_at: datetime | None = None


class RegisterVideo:
    """Take a video in and queue its analysis. For editors.

    When it answers ``Ok``, bytes, video and job are stored for good. When it does not, or when the caller goes away,
    nothing stays behind: the object's key is scheduled for deletion before its first byte is written, and only the
    transaction that registers the video takes it off that list.

    Fails with `ValidationError`, `EmptyFile`, `NotAVideo`, `PayloadTooLarge`, `UnknownModel`, `UnknownLabel`,
    `StorageFull`, `StorageUnavailable`, `StorageError`.
    """

    _UPLOAD_EXPIRES = timedelta(hours=24)

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        storage: ObjectStorage,
        specs: SpecResolver,
        clock: Clock,
        *,
        max_upload_bytes: Live[int],
        retention: Live[RetentionRules],
    ) -> None:
        self._uow = uow
        self._storage = storage
        self._specs = specs
        self._clock = clock
        self._max_upload_bytes = max_upload_bytes
        self._retention = retention

    @as_result
    async def __call__(self, principal: Principal, incoming: IncomingVideo) -> RegisteredVideo:
        principal.require(Permission.VIDEO_CREATE)
        source = VideoSource(SourceKind.UPLOAD, incoming.file_name)
        # What is already known to be wrong need not be uploaded first.
        await asyncio.to_thread(self._specs.resolve, incoming.details().spec)
        video_id = VideoId(uuid4())
        key = f"videos/{video_id}/source"
        async with self._uow() as uow:
            await uow.object_deletions.schedule(key, self._clock.now() + self._UPLOAD_EXPIRES)
            await uow.commit()
        try:
            content = await self._storage.put(key, checked(incoming.chunks()), max_bytes=self._max_upload_bytes())
            return await self._register(principal, video_id, source, content, incoming.details())
        except BaseException:
            await asyncio.shield(self._discard(key))
            raise

    @repeated
    async def _register(
        self,
        principal: Principal,
        video_id: VideoId,
        source: VideoSource,
        content: StoredContent,
        details: VideoDetails,
    ) -> RegisteredVideo:
        spec, model = await asyncio.to_thread(self._specs.resolve, details.spec)
        now = self._clock.now()
        video = Video.register(
            video_id=video_id,
            tenant_id=principal.tenant_id,
            created_by=principal.user_id,
            source=source,
            now=now,
            title=details.title,
            description=details.description,
            captured_at=details.captured_at,
            expires_at=self._retention().expires_at(principal.tenant_id, now),
        )
        video.attach_content(content, now)
        job = AnalysisJob.queue(
            job_id=JobId(uuid4()),
            tenant_id=principal.tenant_id,
            video_id=video_id,
            created_by=principal.user_id,
            spec=spec,
            model=model,
            now=now,
        )
        async with self._uow() as uow:
            if not await uow.object_deletions.forget(content.key):
                # The sweep came before there was anything to remove. It has to come back.
                await uow.object_deletions.schedule(content.key, now)
                await uow.commit()
                raise ServiceUnavailable("The upload took too long and has expired. Send it again.")
            await uow.videos.add(video)
            await uow.jobs.add(job)
            await uow.ring()
            await uow.commit()
        return RegisteredVideo(video, JobReport(job, _NO_PROGRESS))

    async def _discard(self, key: str) -> None:
        async with self._uow() as uow:
            # Not on the list any more: the video was registered after all, though its commit's answer got lost.
            if not await uow.object_deletions.forget(key):
                return
            await uow.object_deletions.schedule(key, self._clock.now())
            await uow.commit()
        try:
            await self._storage.delete(key)
        except (StorageError, StorageUnavailable):
            return  # the sweep will, and what broke the upload is the news
        async with self._uow() as uow:
            await uow.object_deletions.removed([key])
            await uow.commit()


class ListVideos:
    """The tenant's videos, newest first. For viewers. Fails with `ValidationError` for a bad cursor."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @repeated
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
    """Edit what a person said about a video. For editors. Fails with `VideoNotFound`, `ValidationError`."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    @as_result
    @repeated
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
            )
            await uow.videos.save(video)
            await uow.commit()
            return video


class DeleteVideo:
    """Remove a video with everything that was made from it. For admins. Work on it stops at its next heartbeat.

    The rows go at once, the objects right after, when the sweep comes around. Fails with `VideoNotFound`.
    """

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    @as_result
    @repeated
    async def __call__(self, principal: Principal, video_id: VideoId) -> None:
        principal.require(Permission.VIDEO_DELETE)
        async with self._uow() as uow:
            video = await locked_video_of(uow, principal, video_id)
            await remove_video(uow, video, self._clock.now())
            await uow.commit()


class ContentReader:
    """The stored bytes of a video, to be streamed in ranges."""

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
        """Where a client may fetch the bytes itself, if it may. See `ObjectStorage.link`."""
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


async def video_of(uow: UnitOfWork, principal: Principal, video_id: VideoId) -> Video:
    """The caller's video. Raises `VideoNotFound`, also for another tenant's."""
    video = await uow.videos.get(principal.tenant_id, video_id)
    if video is None:
        raise VideoNotFound(video_id)
    return video


async def locked_video_of(uow: UnitOfWork, principal: Principal, video_id: VideoId) -> Video:
    """As `video_of`, its row locked until the transaction ends."""
    video = await uow.videos.get_for_update(principal.tenant_id, video_id)
    if video is None:
        raise VideoNotFound(video_id)
    return video


async def remove_video(uow: UnitOfWork, video: Video, now: datetime) -> None:
    """Remove the rows of ``video``, which is locked, and have its objects removed."""
    if video.content is not None:
        await uow.object_deletions.schedule(video.content.key, now)
    for key in await uow.evidence.keys_of_video(video.tenant_id, video.id):
        await uow.object_deletions.schedule(key, now)
    await uow.videos.delete(video.tenant_id, video.id)
    await uow.ring()


async def report_of(uow: UnitOfWork, job: AnalysisJob) -> JobReport:
    return JobReport(job, await uow.jobs.progress(job.tenant_id, job.id))
