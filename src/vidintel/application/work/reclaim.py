"""Picking up what dead workers dropped."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from vidintel.application.jobs.failure import WORKER_DIED, fail_job
from vidintel.application.ports import (
    SILENT,
    Clock,
    SegmentOutcome,
    Telemetry,
    UnitOfWorkFactory,
)
from vidintel.application.work.stages import lock_video_and_job
from vidintel.domain.analysis import AnalysisJob, JobId, JobStatus
from vidintel.domain.errors import DomainError, LeaseLost, ServiceUnavailable
from vidintel.domain.segment import Segment
from vidintel.domain.work import RetryPolicy

_BATCH = 100
_MOST_BATCHES = 50
# Listing what is unfinished costs a request, in some places money.
_PURGE_EVERY = timedelta(hours=1)

_log = logging.getLogger(__name__)


class ReclaimWork:
    """Free what dead workers held: leases that ran out, or all that an owner known to be ``gone`` holds."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, retry: RetryPolicy, telemetry: Telemetry = SILENT) -> None:
        self._uow = uow
        self._clock = clock
        self._retry = retry
        self._telemetry = telemetry

    async def __call__(self, *, gone: str | None = None) -> int:
        """Returns how many pieces of work were freed or failed."""
        now = self._clock.now()
        async with self._uow() as uow:
            if gone is None:
                jobs = await uow.jobs.expired(now, _BATCH)
                segments = await uow.segments.expired(now, _BATCH)
            else:
                jobs = await uow.jobs.held_by(gone, _BATCH)
                segments = await uow.segments.held_by(gone, _BATCH)
        freed = 0
        locked: set[JobId] = set()
        for job in jobs:
            freed += await self._freed(job.id, job.id, locked, partial(self._reclaim_job, job, now, gone))
        for segment in segments:
            reclaim = partial(self._reclaim_segment, segment, now, gone)
            freed += await self._freed(segment.id, segment.job_id, locked, reclaim)
        return freed

    async def _freed(
        self, work_id: UUID, job_id: JobId, locked: set[JobId], reclaim: Callable[[], Awaitable[None]]
    ) -> bool:
        """``locked`` jobs are somebody's for as long as anybody waits; the next sweep comes by again."""
        if job_id in locked:
            return False
        try:
            await reclaim()
        except LeaseLost:
            return False
        except ServiceUnavailable as error:
            if not error.contended:
                raise
            _log.warning("work.locked", extra={"id": str(work_id), "reason": error.detail})
            locked.add(job_id)
            return False
        except DomainError as error:
            # It is among the oldest and will be found again each time: it must not keep the sweep from all others.
            _log.error("work.not_reclaimed", extra={"id": str(work_id), "code": error.code, "reason": error.detail})
            return False
        return True

    async def _reclaim_job(self, found: AnalysisJob, now: datetime, gone: str | None) -> None:
        async with self._uow() as uow:
            video, job = await lock_video_and_job(uow, found)
            lives = job.expire(now, self._retry, gone=gone)
            if lives:
                await uow.jobs.save(job)
            else:
                await fail_job(uow, video, job, WORKER_DIED, now)
            await uow.notify_work()
            await uow.commit()
        self._telemetry.lease_expired("job")
        if not lives:
            self._telemetry.job_ended(JobStatus.FAILED)

    async def _reclaim_segment(self, found: Segment, now: datetime, gone: str | None) -> None:
        async with self._uow() as uow:
            of_job = await uow.jobs.peek(found.job_id)
            if of_job is None:
                raise LeaseLost("The job was deleted.")
            video, job = await lock_video_and_job(uow, of_job)
            segment = await uow.segments.get_for_work(found.id)
            if segment is None:
                raise LeaseLost("The segment was deleted.")
            lives = segment.expire(WORKER_DIED, now, self._retry, gone=gone)
            await uow.segments.save(segment)
            fails = not lives and not job.status.is_final
            if fails:
                await fail_job(uow, video, job, WORKER_DIED, now)
            await uow.notify_work()
            await uow.commit()
        self._telemetry.lease_expired("segment")
        self._telemetry.segment_ended(SegmentOutcome.RETRIED if lives else SegmentOutcome.DEAD)
        if fails:
            self._telemetry.job_ended(JobStatus.FAILED)
