"""What workers do: plan a job and run its segments; `finishing` has the last stage.

Each claims by a conditional update, holds a lease that heartbeats extend, and writes under a fencing token: a message
that is lost, doubled or late changes nothing. They return ``Err(LeaseLost)`` when there is nothing for them to do (any
more), which is ordinary.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

from vidintel.application.jobs.failure import PERMANENT, fail_job, passing_failure
from vidintel.application.pipeline.frames import FramePipeline, SegmentFindings
from vidintel.application.ports import (
    SILENT,
    Clock,
    SegmentOutcome,
    Telemetry,
    UnitOfWork,
    UnitOfWorkFactory,
)
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.work.lease import Lease, Leaving, Stalled, WorkerIdentity, retry_until, run_under_lease
from vidintel.application.work.stages import WorkRules, lock_video_and_job
from vidintel.domain.analysis import AnalysisJob, JobStage, JobStatus
from vidintel.domain.errors import (
    DomainError,
    LeaseLost,
    ServiceUnavailable,
)
from vidintel.domain.segment import Segment, SegmentId
from vidintel.domain.video import Failure, Video


class RunSegment:
    """Decode one segment, detect in it, and store what was seen together with the fact that it is done."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        pipeline: FramePipeline,
        clock: Clock,
        worker: WorkerIdentity,
        rules: WorkRules,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._uow = uow
        self._pipeline = pipeline
        self._clock = clock
        self._worker = worker
        self._rules = rules
        self._telemetry = telemetry

    @as_result
    async def __call__(self, segment_id: SegmentId) -> int:
        """Returns how many detections were stored."""
        video, job, segment, token = await self._claim(segment_id)
        lease = Lease(self._worker)

        async def extend() -> bool:
            due_at = self._clock.now() + self._rules.lease
            async with self._uow() as uow:
                held = await uow.segments.extend_lease(segment.id, token, due_at, lease.frames_done)
                await uow.commit()
                return held

        try:
            found = await run_under_lease(
                lease,
                asyncio.to_thread(
                    self._pipeline, video, job, segment, heartbeat=lease.heartbeat, frame_done=lease.frame_done
                ),
                extend,
                heartbeat_s=self._rules.heartbeat_s,
                stall_s=self._rules.stall_s,
            )
            stored = await self._complete(job, segment, token, found, lease.frames_done)
        except LeaseLost:
            self._telemetry.segment_ended(SegmentOutcome.LOST)
            raise
        except (Leaving, asyncio.CancelledError):
            self._telemetry.segment_ended(SegmentOutcome.RELEASED)
            await asyncio.shield(self._release(segment, token, timedelta(0)))
            raise
        except ServiceUnavailable as error:
            self._telemetry.segment_ended(SegmentOutcome.RELEASED)
            delay = timedelta(seconds=error.retry_after_s)
            # What is down may be the database itself; once the lease is over, there is nothing left to hand back.
            lease_s = self._rules.lease.total_seconds()
            await retry_until(lambda: self._release(segment, token, delay), for_s=lease_s)
            raise
        except Stalled as stalled:
            with suppress(DomainError):  # the process ends for it, whoever holds the work by now
                await self._give_up(job, segment, token, stalled)
            raise
        except Exception as error:
            await self._give_up(job, segment, token, error)
            raise
        self._telemetry.segment_ended(SegmentOutcome.DONE)
        for warning in found.warnings:
            self._telemetry.decode_fault(warning.code)
        return stored

    @retried
    async def _claim(self, segment_id: SegmentId) -> tuple[Video, AnalysisJob, Segment, int]:
        async with self._uow() as uow:
            found = await uow.segments.peek(segment_id)
            job = await _locked_running_job(uow, found)
            segment = await uow.segments.get_for_work(segment_id)
            video = await uow.videos.get(job.tenant_id, job.video_id)
            if segment is None or video is None:
                raise LeaseLost("The segment was deleted.")
            token = segment.claim(self._worker.owner, self._clock.now(), self._rules.lease)
            await uow.segments.save(segment)
            await uow.commit()
            return video, job, segment, token

    @retried
    async def _complete(
        self,
        claimed: AnalysisJob,
        held: Segment,
        token: int,
        found: SegmentFindings,
        frames_done: int,
    ) -> int:
        now = self._clock.now()
        async with self._uow() as uow:
            job = await _locked_running_job(uow, held)
            segment = await _locked_segment(uow, held)
            segment.complete(token, frames_done, now, found.warnings, found.shots, found.frames_reused)
            await uow.segments.save(segment)
            stored = await uow.detections.add_all(segment, claimed.video_id, found.frames)
            if await uow.segments.count_unfinished(job.id) == 0:
                job.all_segments_done(now)
                await uow.jobs.save(job)
                await uow.notify_work()
            await uow.commit()
            return stored

    @retried
    async def _release(self, held: Segment, token: int, delay: timedelta) -> None:
        async with self._uow() as uow:
            segment = await _locked_segment(uow, held)
            segment.release(token, self._clock.now() + delay)
            await uow.segments.save(segment)
            await uow.notify_work()
            await uow.commit()

    @retried
    async def _give_up(self, claimed: AnalysisJob, held: Segment, token: int, error: Exception) -> None:
        now = self._clock.now()
        async with self._uow() as uow:
            video, job = await lock_video_and_job(uow, claimed)
            segment = await _locked_segment(uow, held)
            if isinstance(error, PERMANENT):
                failure = Failure.of(error)
                segment.dead_letter(token, failure, now)
                lives = False
            else:
                failure = passing_failure(error)
                lives = segment.retry_later(token, failure, now, self._rules.retry)
            await uow.segments.save(segment)
            if not lives:
                await fail_job(uow, video, job, failure, now)
            await uow.commit()
        self._telemetry.segment_ended(SegmentOutcome.RETRIED if lives else SegmentOutcome.DEAD)
        if isinstance(error, PERMANENT):
            self._telemetry.decode_fault(failure.code)
        if not lives:
            self._telemetry.job_ended(JobStatus.FAILED)


async def _locked_running_job(uow: UnitOfWork, segment: Segment | None) -> AnalysisJob:
    job = None if segment is None else await uow.jobs.get_for_update(segment.tenant_id, segment.job_id)
    if job is None or job.status is not JobStatus.RUNNING or job.stage is not JobStage.ANALYSE:
        raise LeaseLost("The job of this segment is not running.")
    return job


async def _locked_segment(uow: UnitOfWork, held: Segment) -> Segment:
    segment = await uow.segments.get_for_work(held.id)
    if segment is None:
        raise LeaseLost("The segment was deleted.")
    return segment
