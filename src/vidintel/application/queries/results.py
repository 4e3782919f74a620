"""The results that a job published."""

from dataclasses import dataclass
from datetime import datetime

from vidintel.application.ports import UnitOfWorkFactory
from vidintel.application.queries.answering import answering_job
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.videos.lookup import video_of
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import ResultNotFound
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.results import JobSnapshots, JobSummary, JobTimeline
from vidintel.domain.video import VideoId


@dataclass(frozen=True, slots=True)
class VideoResults:
    """The results of one job: its summary, and the other kinds that it has stored."""

    job: AnalysisJob
    summary: JobSummary
    timeline: JobTimeline | None
    snapshots: JobSnapshots | None


@dataclass(frozen=True, slots=True)
class VideoTimeline:
    """The ``timeline`` of a job; ``captured_at`` is the wall-clock time of the video's second 0, when known."""

    job: AnalysisJob
    captured_at: datetime | None
    timeline: JobTimeline


class GetResults:
    """The results of a video by kind. For viewers. Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(self, principal: Principal, video_id: VideoId, job_id: JobId | None) -> VideoResults:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
            job = await answering_job(uow, video, job_id)
            results = await uow.results.of_job(principal.tenant_id, job.id)
            if results.summary is None:
                raise ResultNotFound("This job has no results yet. Try again when the job has succeeded.")
            return VideoResults(job, results.summary, results.timeline, results.snapshots)


class GetTimeline:
    """When each label was in sight. For viewers. Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(self, principal: Principal, video_id: VideoId, job_id: JobId | None) -> VideoTimeline:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
            job = await answering_job(uow, video, job_id)
            results = await uow.results.of_job(principal.tenant_id, job.id)
            if results.timeline is None:
                raise ResultNotFound("This job has no timeline yet. Try again when the job has succeeded.")
            return VideoTimeline(job, video.captured_at, results.timeline)
