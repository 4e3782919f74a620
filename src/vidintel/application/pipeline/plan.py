"""The first stage of a job: probe the video and cut it into segments."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from vidintel.application.jobs.failure import fail_job
from vidintel.application.jobs.work import PLAN, add_segments, add_stage, lock_video_and_job
from vidintel.application.ports import (
    SILENT,
    Clock,
    Live,
    MediaLimits,
    MediaPlan,
    ObjectStorage,
    Telemetry,
    UnitOfWork,
    UnitOfWorkFactory,
    VideoDecoder,
)
from vidintel.application.retry import retried
from vidintel.application.work.handler import WorkHandler
from vidintel.application.work.lease import Lease
from vidintel.domain.analysis import AnalysisJob, JobStage, JobStatus
from vidintel.domain.errors import UnreadableVideo
from vidintel.domain.events import Event
from vidintel.domain.segment import Segment, SegmentId, SegmentStatus
from vidintel.domain.video import Failure, StoredContent, Video, VideoStatus
from vidintel.domain.work import WorkItem


@dataclass(frozen=True, slots=True)
class JobInWork:
    """The job that an item is about, its video, and the item."""

    item: WorkItem
    video: Video
    job: AnalysisJob

    def log_context(self) -> dict[str, str]:
        return {"video": str(self.video.id), "job": str(self.job.id)}


async def begin_stage(uow: UnitOfWork, item: WorkItem, stage: JobStage, now: datetime) -> JobInWork:
    """Begin ``stage`` of the job. Raises `LeaseLost` when the job has ended or is at another stage."""
    video, job = await lock_video_and_job(uow, item)
    starts = job.status is JobStatus.QUEUED
    job.begin(stage, now)
    await uow.jobs.save(job)
    if starts:
        await uow.outbox.add(Event.job_started(job, now))
    if video.status is not VideoStatus.PROCESSING:
        video.begin_processing(now)
        await uow.videos.save(video)
    return JobInWork(item, video, job)


async def fail_job_of(
    uow: UnitOfWork, item: WorkItem, failure: Failure, now: datetime, telemetry: Telemetry
) -> AnalysisJob:
    """Fail the job of ``item``, unless it has ended already."""
    video, job = await lock_video_and_job(uow, item)
    if not job.status.is_final:
        await fail_job(uow, video, job, failure, now, reported_by=item)
        telemetry.job_ended(JobStatus.FAILED)
    return job


class PlanJob(WorkHandler[JobInWork]):
    """Probe the video and split it into segments; the job runs from now on.

    A retried job that was planned before keeps its segments.
    """

    kind = PLAN
    reports_progress = True

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        storage: ObjectStorage,
        decoder: VideoDecoder,
        clock: Clock,
        *,
        segment_s: float,
        limits: Live[MediaLimits],
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._uow = uow
        self._storage = storage
        self._decoder = decoder
        self._clock = clock
        self._segment_s = segment_s
        self._limits = limits
        self._telemetry = telemetry

    async def begin(self, uow: UnitOfWork, item: WorkItem) -> JobInWork:
        return await begin_stage(uow, item, JobStage.PLAN, self._clock.now())

    async def run(self, subject: JobInWork, lease: Lease) -> None:
        video, job = subject.video, subject.job
        async with self._uow() as uow:
            was_planned = await uow.segments.count(job.id) > 0
        content = content_of(video)

        def plan() -> MediaPlan:
            with self._storage.open(content.key) as stream:
                return self._decoder.plan(
                    stream,
                    segment_s=self._segment_s,
                    sample_fps=job.spec.sample_fps,
                    limits=self._limits(),
                    heartbeat=lease.heartbeat,
                )

        await self._begin_segments(subject, lease, None if was_planned else await asyncio.to_thread(plan))

    async def give_up(self, uow: UnitOfWork, item: WorkItem, failure: Failure, now: datetime) -> None:
        await fail_job_of(uow, item, failure, now, self._telemetry)

    def log_context(self, subject: JobInWork) -> dict[str, str]:
        return subject.log_context()

    @retried
    async def _begin_segments(self, subject: JobInWork, lease: Lease, media_plan: MediaPlan | None) -> None:
        now = self._clock.now()
        async with self._uow() as uow:
            video, job = await lock_video_and_job(uow, subject.item)
            job.planned()
            if media_plan is None:
                segments = await uow.segments.of_job(job.id, SegmentStatus.PENDING)
            else:
                video.describe_media(media_plan.media, now)
                await uow.videos.save(video)
                segments = [
                    Segment.cut(
                        segment_id=SegmentId(uuid4()),
                        job=job,
                        span=span,
                        warnings=media_plan.warnings if span.index == 0 else (),
                    )
                    for span in media_plan.segments
                ]
                await uow.segments.add_all(segments)
            if segments:
                await add_segments(uow, job, segments, now)
            else:
                job.all_segments_done()
                await add_stage(uow, job, now)
            await uow.jobs.save(job)
            await lease.complete(uow)
            await uow.commit()


def content_of(video: Video) -> StoredContent:
    if video.content is None:
        raise UnreadableVideo("The content of this video is missing. Upload it again.")
    return video.content
