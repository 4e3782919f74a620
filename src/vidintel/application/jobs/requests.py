"""Use cases on jobs: request an analysis, read it, cancel it, retry it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from vidintel.application.jobs.queueing import queue_analysis
from vidintel.application.jobs.specs import SpecRequest, SpecResolver
from vidintel.application.jobs.work import add_stage
from vidintel.application.ports import Clock, JobReport, Page, UnitOfWork, UnitOfWorkFactory, VideoReads
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.videos.lookup import locked_video_of, report_of, video_of
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import JobNotFound
from vidintel.domain.events import Event
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.segment import SegmentStatus
from vidintel.domain.video import Video, VideoId, VideoStatus


@dataclass(frozen=True, slots=True)
class JobPage:
    items: Sequence[AnalysisJob]
    next_cursor: str | None


class RequestAnalysis:
    """Analyse a video once more, perhaps with another spec. For editors.

    Fails with `VideoNotFound`, `JobAlreadyActive`, `ConflictError`, `UnknownModel`, `UnknownLabel`, `ValidationError`.
    """

    def __init__(self, uow: UnitOfWorkFactory, specs: SpecResolver, clock: Clock) -> None:
        self._uow = uow
        self._specs = specs
        self._clock = clock

    @as_result
    @retried
    async def __call__(self, principal: Principal, video_id: VideoId, request: SpecRequest) -> JobReport:
        principal.require(Permission.JOB_CREATE)
        spec, model = await asyncio.to_thread(self._specs.resolve, request)
        async with self._uow() as uow:
            video = await locked_video_of(uow, principal, video_id)
            report = await queue_analysis(uow, video, spec, model, created_by=principal.user_id, now=self._clock.now())
            await uow.commit()
            return report


class ListJobs:
    """The jobs of one video, newest first. For viewers. Fails with `VideoNotFound`, `ValidationError`."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(self, principal: Principal, video_id: VideoId, page: Page) -> JobPage:
        principal.require(Permission.JOB_READ)
        async with self._uow() as uow:
            await video_of(uow, principal, video_id)
            return JobPage(*await uow.jobs.list_of_video(principal.tenant_id, video_id, page))


class GetJob:
    """One job and its progress. For viewers. Fails with `JobNotFound`."""

    def __init__(self, reads: VideoReads) -> None:
        self._reads = reads

    @as_result
    async def __call__(self, principal: Principal, job_id: JobId) -> JobReport:
        principal.require(Permission.JOB_READ)
        report = await self._reads.job(principal.tenant_id, job_id)
        if report is None:
            raise JobNotFound(job_id)
        return report


class CancelJob:
    """End a job that is queued or running. For editors.

    Workers that run it can no longer write anything, and stop at their next heartbeat.
    Fails with `JobNotFound`, `InvalidTransition`.
    """

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    @as_result
    @retried
    async def __call__(self, principal: Principal, job_id: JobId) -> JobReport:
        principal.require(Permission.JOB_CANCEL)
        now = self._clock.now()
        async with self._uow() as uow:
            video, job = await _locked_job_of(uow, principal, job_id)
            was_running = job.started_at is not None and video.status is VideoStatus.PROCESSING
            job.cancel(now)
            await uow.jobs.save(job)
            await uow.outbox.add(Event.job_ended(job, now))
            await uow.work_items.cancel_group(job.id)
            if was_running:
                video.abandon_processing(now)
                await uow.videos.save(video)
            report = await report_of(uow, job)
            await uow.commit()
            return report


class RetryJob:
    """Retry a failed job. Its finished segments are kept. For editors.

    Fails with `JobNotFound`, `InvalidTransition`, `JobAlreadyActive`, `ConflictError`.
    """

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    @as_result
    @retried
    async def __call__(self, principal: Principal, job_id: JobId) -> JobReport:
        principal.require(Permission.JOB_CREATE)
        async with self._uow() as uow:
            video, job = await _locked_job_of(uow, principal, job_id)
            video.require_content()
            job.retry()
            await uow.jobs.save(job)
            for segment in await uow.segments.of_job(job.id, SegmentStatus.DEAD):
                segment.requeue()
                await uow.segments.save(segment)
            await add_stage(uow, job, self._clock.now())
            report = await report_of(uow, job)
            await uow.commit()
            return report


async def _locked_job_of(uow: UnitOfWork, principal: Principal, job_id: JobId) -> tuple[Video, AnalysisJob]:
    found = await uow.jobs.get(principal.tenant_id, job_id)
    if found is None:
        raise JobNotFound(job_id)
    video = await locked_video_of(uow, principal, found.video_id)
    job = await uow.jobs.get_for_update(principal.tenant_id, job_id)
    if job is None:
        raise JobNotFound(job_id)
    return video, job
