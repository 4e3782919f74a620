"""Handing out work, and picking up what was dropped."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from vidintel.application.failing import WORKER_DIED, fail_job
from vidintel.application.ports import (
    SILENT,
    Clock,
    Doorbell,
    ObjectStorage,
    SegmentOutcome,
    Telemetry,
    UnitOfWorkFactory,
)
from vidintel.application.stages import lock_video_and_job
from vidintel.domain.analysis import AnalysisJob, JobId, JobStatus
from vidintel.domain.errors import DomainError, LeaseLost, ServiceUnavailable
from vidintel.domain.identity import TenantId
from vidintel.domain.segment import Segment
from vidintel.domain.work import RetryPolicy

_BATCH = 100
_MOST_BATCHES = 50
# Listing what is unfinished costs a request, in some places money.
_PURGE_EVERY = timedelta(hours=1)

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class DispatchWork:
    """Ring for work that is due, fair over tenants, and only for as much as this worker can begin at once.

    So a worker that dies takes at most what it was working on with it, and no tenant queues up in a broker. Whom it
    served last comes last: work may be taken one piece at a time, and a tenant with many must not get each of them.
    """

    _TENANTS_REMEMBERED = 10_000

    def __init__(
        self, uow: UnitOfWorkFactory, doorbell: Doorbell, clock: Clock, *, concurrency: int, redispatch: timedelta
    ) -> None:
        self._uow = uow
        self._doorbell = doorbell
        self._clock = clock
        self._concurrency = concurrency
        self._redispatch = redispatch
        self._served: dict[TenantId, None] = {}  # in order, longest ago first

    async def __call__(self) -> int:
        """Returns how many pieces of work were rung for."""
        room = self._concurrency - await self._doorbell.load()
        if room <= 0:
            return 0
        now = self._clock.now()
        async with self._uow() as uow:
            due = await uow.work_queue.take_due(now, room, now + self._redispatch, tuple(self._served))
            await uow.commit()
        for work in due:
            self._remember(work.tenant_id)
            await self._doorbell.ring(work)
        return len(due)

    def _remember(self, tenant_id: TenantId) -> None:
        self._served.pop(tenant_id, None)
        self._served[tenant_id] = None
        if len(self._served) > self._TENANTS_REMEMBERED:
            del self._served[next(iter(self._served))]


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
            if not error.busy:
                raise
            _log.warning("work.locked", id=str(work_id), reason=error.detail)
            locked.add(job_id)
            return False
        except DomainError as error:
            # It is among the oldest and will be found again each time: it must not keep the sweep from all others.
            _log.error("work.not_reclaimed", id=str(work_id), code=error.code, reason=error.detail)
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
            await uow.ring()
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
            await uow.ring()
            await uow.commit()
        self._telemetry.lease_expired("segment")
        self._telemetry.segment_ended(SegmentOutcome.RETRIED if lives else SegmentOutcome.DEAD)
        if fails:
            self._telemetry.job_ended(JobStatus.FAILED)


class CollectGarbage:
    """Remove objects whose time has come: of deleted videos, and of uploads that were never finished.

    What writes that died left behind in the storage is looked for once an hour.
    """

    def __init__(
        self, uow: UnitOfWorkFactory, storage: ObjectStorage, clock: Clock, *, unfinished_after_s: float = 86_400
    ) -> None:
        self._uow = uow
        self._storage = storage
        self._clock = clock
        self._unfinished_after_s = unfinished_after_s
        self._purge_at = clock.now()

    async def __call__(self) -> int:
        """Returns how many objects were removed. One that cannot be removed now is tried again later, others first."""
        removed = 0
        for _ in range(_MOST_BATCHES):
            taken, gone = await self._remove_due()
            removed += gone
            if taken < _BATCH or not gone:
                break
        if self._clock.now() >= self._purge_at:
            removed += await self._storage.purge_unfinished(self._unfinished_after_s)
            self._purge_at = self._clock.now() + _PURGE_EVERY
        return removed

    async def _remove_due(self) -> tuple[int, int]:
        """How many were due, of a batch, and how many of these were removed."""
        # No transaction is open while objects are removed: that may take long, and hold up who waits for the rows.
        async with self._uow() as uow:
            keys = await uow.object_deletions.take_due(self._clock.now(), _BATCH)
            await uow.commit()
        removed: list[str] = []
        try:
            for key in keys:
                try:
                    await self._storage.delete(key)
                except ServiceUnavailable:
                    break
                except DomainError as error:
                    _log.warning("object.not_removed", key=key, code=error.code, reason=error.detail)
                    continue
                removed.append(key)
        finally:
            if removed:
                async with self._uow() as uow:
                    await uow.object_deletions.removed(removed)
                    await uow.commit()
        return len(keys), len(removed)
