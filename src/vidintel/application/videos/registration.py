"""Taking a video in: its bytes are stored, and its analysis is queued."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from vidintel.application.jobs.specs import SpecRequest, SpecResolver
from vidintel.application.ports import (
    Clock,
    JobProgress,
    JobReport,
    Live,
    ObjectStorage,
    UnitOfWorkFactory,
)
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.videos.sniffing import checked
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import ServiceUnavailable, StorageError, StorageUnavailable
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.retention import RetentionRules
from vidintel.domain.video import SourceKind, StoredContent, Video, VideoId, VideoSource

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

    @retried
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
            await uow.notify_work()
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
