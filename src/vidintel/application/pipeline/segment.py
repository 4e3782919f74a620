"""Analysing one segment of a video."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from vidintel.application.jobs.work import SEGMENT, add_stage
from vidintel.application.pipeline.frames import FramePipeline, SegmentFindings
from vidintel.application.pipeline.plan import fail_job_of
from vidintel.application.ports import SILENT, Clock, Telemetry, UnitOfWork, UnitOfWorkFactory
from vidintel.application.retry import retried
from vidintel.application.work.handler import WorkHandler
from vidintel.application.work.lease import Lease
from vidintel.domain.analysis import AnalysisJob, JobStage, JobStatus
from vidintel.domain.errors import LeaseLost
from vidintel.domain.segment import Segment, SegmentId, SegmentStatus
from vidintel.domain.video import Failure, Video
from vidintel.domain.work import WorkItem


@dataclass(frozen=True, slots=True)
class SegmentInWork:
    """The segment that an item is about, its job and video."""

    video: Video
    job: AnalysisJob
    segment: Segment


class RunSegment(WorkHandler[SegmentInWork]):
    """Decode one segment, detect objects in it, store the detections, and mark it done in the same transaction."""

    kind = SEGMENT
    reports_progress = True

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        pipeline: FramePipeline,
        clock: Clock,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._uow = uow
        self._pipeline = pipeline
        self._clock = clock
        self._telemetry = telemetry

    async def begin(self, uow: UnitOfWork, item: WorkItem) -> SegmentInWork:
        segment = await uow.segments.peek(SegmentId(item.subject_id))
        if segment is None or segment.status is not SegmentStatus.PENDING:
            raise LeaseLost("The segment is not pending: it is done or dead.")
        job = await uow.jobs.get(item.tenant_id, segment.job_id)
        video = None if job is None else await uow.videos.get(item.tenant_id, job.video_id)
        if job is None or video is None or job.status is not JobStatus.RUNNING or job.stage is not JobStage.ANALYSE:
            raise LeaseLost("The job of this segment is not running.")
        return SegmentInWork(video, job, segment)

    async def run(self, subject: SegmentInWork, lease: Lease) -> int:
        """Returns how many detections were stored."""
        found = await asyncio.to_thread(
            self._pipeline,
            subject.video,
            subject.job,
            subject.segment,
            heartbeat=lease.heartbeat,
            frame_done=lease.frame_done,
        )
        stored = await self._complete(subject, found, lease)
        for warning in found.warnings:
            self._telemetry.decode_fault(warning.code)
        return stored

    async def save_progress(self, uow: UnitOfWork, subject: SegmentInWork, lease: Lease) -> None:
        await uow.segments.save_progress(subject.segment.id, lease.frames_done)

    async def give_up(self, uow: UnitOfWork, item: WorkItem, failure: Failure, now: datetime) -> None:
        await fail_job_of(uow, item, failure, now, self._telemetry)
        segment = await uow.segments.get_for_update(SegmentId(item.subject_id))
        if segment is None:
            raise LeaseLost("The segment was deleted.")
        segment.dead_letter(failure)
        await uow.segments.save(segment)

    def log_context(self, subject: SegmentInWork) -> dict[str, str]:
        return {
            "video": str(subject.video.id),
            "job": str(subject.job.id),
            "segment": str(subject.segment.id),
        }

    @retried
    async def _complete(self, subject: SegmentInWork, found: SegmentFindings, lease: Lease) -> int:
        now = self._clock.now()
        async with self._uow() as uow:
            job = await uow.jobs.get_for_update(subject.job.tenant_id, subject.job.id)
            if job is None or job.status is not JobStatus.RUNNING or job.stage is not JobStage.ANALYSE:
                raise LeaseLost("The job of this segment is not running.")
            segment = await uow.segments.get_for_update(subject.segment.id)
            if segment is None:
                raise LeaseLost("The segment was deleted.")
            segment.complete(
                lease.frames_done, warnings=found.warnings, shots=found.shots, frames_reused=found.frames_reused
            )
            await uow.segments.save(segment)
            stored = await uow.detections.add_all(segment, subject.video.id, found.frames)
            if await uow.segments.count_unfinished(job.id) == 0:
                job.all_segments_done()
                await uow.jobs.save(job)
                await add_stage(uow, job, now)
            await lease.complete(uow)
            await uow.commit()
            return stored
