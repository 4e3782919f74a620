"""Registering a video: its bytes are stored, and its analysis is queued."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import uuid4

from vidintel.application.jobs.queueing import queue_analysis
from vidintel.application.jobs.specs import SpecRequest, SpecResolver
from vidintel.application.ports import Clock, JobReport, Live, UnitOfWorkFactory
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.videos.acceptance import AcceptContent, attach_content
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.retention import RetentionRules
from vidintel.domain.video import CameraId, SourceKind, StoredContent, Video, VideoId, VideoSource


@dataclass(frozen=True, slots=True)
class VideoDetails:
    """What a client says about the video it sends."""

    title: str | None = None
    description: str | None = None
    captured_at: datetime | None = None
    camera_id: CameraId | None = None
    spec: SpecRequest = field(default_factory=SpecRequest)


class IncomingVideo(Protocol):
    """A video that is being received. Its details may come after its bytes, as a form's fields may follow the file."""

    @property
    def file_name(self) -> str: ...

    def details(self) -> VideoDetails:
        """The details received so far; complete once ``chunks`` is exhausted."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes. Raises `ValidationError` for invalid details."""
        ...


@dataclass(frozen=True, slots=True)
class RegisteredVideo:
    video: Video
    job: JobReport


class RegisterVideo:
    """Register a video whose bytes come with the request, and queue its analysis. For editors.

    When it returns ``Ok``, bytes, video and job are stored durably. Otherwise, and when the client disconnects, nothing
    is left behind: see `AcceptContent`.

    Fails with `ValidationError`, `EmptyFile`, `NotAVideo`, `PayloadTooLarge`, `UnknownModel`, `UnknownLabel`,
    `StorageFull`, `StorageUnavailable`, `StorageError`.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        accept_content: AcceptContent,
        specs: SpecResolver,
        clock: Clock,
        *,
        retention: Live[RetentionRules],
    ) -> None:
        self._uow = uow
        self._accept_content = accept_content
        self._specs = specs
        self._clock = clock
        self._retention = retention

    @as_result
    async def __call__(self, principal: Principal, incoming: IncomingVideo) -> RegisteredVideo:
        principal.require(Permission.VIDEO_CREATE)
        source = VideoSource(SourceKind.UPLOAD, incoming.file_name)
        # Reject invalid details before the upload, if they came first.
        await asyncio.to_thread(self._specs.resolve, incoming.details().spec)
        video_id = VideoId(uuid4())
        async with self._accept_content.stored(principal.tenant_id, video_id, incoming.chunks()) as content:
            return await self._register(principal, video_id, source, content, incoming.details())

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
            camera_id=details.camera_id,
            expires_at=self._retention().expires_at(principal.tenant_id, now),
        )
        async with self._uow() as uow:
            await attach_content(uow, video, content, now)
            await uow.videos.add(video)
            job = await queue_analysis(uow, video, spec, model, created_by=principal.user_id, now=now)
            await uow.commit()
        return RegisteredVideo(video, job)
