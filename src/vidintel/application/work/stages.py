"""Holding a stage (plan or finish) of a job as a whole, and the rules by which work is held."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from vidintel.application.jobs.failure import PERMANENT, fail_job, passing_failure
from vidintel.application.ports import SILENT, Clock, Telemetry, UnitOfWork, UnitOfWorkFactory
from vidintel.application.retry import retried
from vidintel.application.work.lease import Lease, Leaving, Stalled, WorkerIdentity, retry_until, run_under_lease
from vidintel.domain.analysis import AnalysisJob, JobId, JobStage, JobStatus
from vidintel.domain.errors import DomainError, LeaseLost, ServiceUnavailable
from vidintel.domain.events import Event
from vidintel.domain.video import Failure, Video, VideoStatus
from vidintel.domain.work import RetryPolicy


@dataclass(frozen=True, slots=True)
class WorkRules:
    """How work is held and tried again. What shows no life for ``stall_s`` seconds is given up."""

    lease: timedelta
    heartbeat_s: float
    retry: RetryPolicy
    stall_s: float


class StageHolder:
    """Claiming, holding and giving up a stage (plan or finish) of a job as a whole."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        worker: WorkerIdentity,
        rules: WorkRules,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._worker = worker
        self._rules = rules
        self._telemetry = telemetry

    @retried
    async def claim(self, job_id: JobId, stage: JobStage) -> tuple[Video, AnalysisJob, int]:
        now = self._clock.now()
        async with self._uow() as uow:
            found = await uow.jobs.peek(job_id)
            if found is None:
                raise LeaseLost("The job was deleted.")
            video, job = await lock_video_and_job(uow, found)
            starts = job.status is JobStatus.QUEUED
            token = job.claim(stage, self._worker.owner, now, self._rules.lease)
            if video.status is not VideoStatus.PROCESSING:
                video.begin_processing(now)
                await uow.videos.save(video)
            await uow.jobs.save(job)
            if starts:
                await uow.outbox.add(Event.job_started(job, now))
            await uow.commit()
            return video, job, token

    def new_lease(self) -> Lease:
        """For work that can tell when to stop; hand it to `run` as well."""
        return Lease(self._worker)

    async def run(self, job: AnalysisJob, token: int, work: Coroutine[object, object, None], lease: Lease) -> None:
        """Await ``work`` under the lease; when it raises, free the stage or fail the job."""

        async def extend() -> bool:
            async with self._uow() as uow:
                held = await uow.jobs.extend_lease(job.id, token, self._clock.now() + self._rules.lease)
                await uow.commit()
                return held

        try:
            await run_under_lease(
                lease,
                work,
                extend,
                heartbeat_s=self._rules.heartbeat_s,
                stall_s=self._rules.stall_s if job.stage is JobStage.PLAN else None,
            )
        except LeaseLost:
            raise
        except (Leaving, asyncio.CancelledError):
            await asyncio.shield(self._release(job, token, timedelta(0)))
            raise
        except ServiceUnavailable as error:
            delay = timedelta(seconds=error.retry_after_s)
            await retry_until(lambda: self._release(job, token, delay), for_s=self._rules.lease.total_seconds())
            raise
        except Stalled as stalled:
            with suppress(DomainError):  # the process ends for it, whoever holds the work by now
                await self._give_up(job, token, stalled)
            raise
        except Exception as error:
            await self._give_up(job, token, error)
            raise

    @retried
    async def _release(self, claimed: AnalysisJob, token: int, delay: timedelta) -> None:
        async with self._uow() as uow:
            _, job = await lock_video_and_job(uow, claimed)
            job.release(token, self._clock.now() + delay)
            await uow.jobs.save(job)
            await uow.notify_work()
            await uow.commit()

    @retried
    async def _give_up(self, claimed: AnalysisJob, token: int, error: Exception) -> None:
        now = self._clock.now()
        async with self._uow() as uow:
            video, job = await lock_video_and_job(uow, claimed)
            job.work.require(token)
            failure = Failure.of(error) if isinstance(error, PERMANENT) else passing_failure(error)
            lives = not isinstance(error, PERMANENT) and job.retry_later(token, now, self._rules.retry)
            if lives:
                await uow.jobs.save(job)
            else:
                await fail_job(uow, video, job, failure, now)
            await uow.commit()
        if isinstance(error, PERMANENT):
            self._telemetry.decode_fault(failure.code)
        if not lives:
            self._telemetry.job_ended(JobStatus.FAILED)


async def lock_video_and_job(uow: UnitOfWork, found: AnalysisJob) -> tuple[Video, AnalysisJob]:
    """Lock both rows, the video's first. Raises `LeaseLost` when they are gone."""
    video = await uow.videos.get_for_update(found.tenant_id, found.video_id)
    job = await uow.jobs.get_for_update(found.tenant_id, found.id)
    if video is None or job is None:
        raise LeaseLost("The job was deleted.")
    return video, job
