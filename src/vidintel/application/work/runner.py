"""Runs work items under leases: all background work is claimed, run, released and given up here."""

import asyncio
import errno
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from vidintel.application.ports import Clock, Telemetry, UnitOfWorkFactory, WorkOutcome
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.work.handler import AnyHandler, WorkHandlers
from vidintel.application.work.lease import Lease, Leaving, Stalled, WorkerIdentity, retry_until, run_under_lease
from vidintel.application.work.setbacks import RecordSetback
from vidintel.domain.errors import DomainError, LeaseLost, ServiceUnavailable
from vidintel.domain.work import WorkItem, WorkItemId

_EXHAUSTED_RESOURCES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
_RESOURCE_PAUSE_S = 15.0


@dataclass(frozen=True, slots=True)
class LeaseRules:
    """The length of a lease, the interval of heartbeats, and the time without progress after which work has stalled.

    All in seconds, except ``lease``.
    """

    lease: timedelta
    heartbeat_s: float
    stall_s: float


@dataclass(frozen=True, slots=True)
class Claimed:
    """An item that this worker holds. ``subject`` is what `WorkHandler.begin` returned, of the handler's own type."""

    item: WorkItem
    handler: AnyHandler
    subject: Any


class LeaseRunner:
    """Claims an item and runs its handler.

    Lost, duplicate and late messages do no harm: a claim is a conditional update, heartbeats extend the lease, and
    every write carries the fencing token. ``Err(LeaseLost)`` means that there is nothing to do (any more).
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        handlers: WorkHandlers,
        worker: WorkerIdentity,
        rules: LeaseRules,
        setbacks: RecordSetback,
        telemetry: Telemetry,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._handlers = handlers
        self._worker = worker
        self._rules = rules
        self._setbacks = setbacks
        self._telemetry = telemetry

    @as_result
    @retried
    async def claim(self, work_id: WorkItemId, *, alone: bool = False) -> Claimed | WorkItem:
        """Claim the item. A suspect is not claimed unless this process runs it ``alone``.

        An unclaimed suspect is returned, and reserved for the length of a lease, so that its own process can start.
        """
        async with self._uow() as uow:
            item = await uow.work_items.get(work_id)
            if item is None:
                raise LeaseLost("The work is done, or was cancelled.")
            if item.work.is_suspect and not alone:
                token = item.work.token
                item.reserve(self._clock.now() + self._rules.lease)
                await uow.work_items.save(item, token)
                await uow.commit()
                return item
            handler = self._handlers.get(item.kind)
            if handler is None:
                raise LeaseLost(f"This worker has no handler for work of the kind '{item.kind}'.")
            subject = await handler.begin(uow, item)
            due_at = self._clock.now() + self._rules.lease
            held = await uow.work_items.claim(work_id, self._worker.owner, self._clock.now(), due_at)
            if held is None:
                raise LeaseLost
            await uow.commit()
            return Claimed(held, handler, subject)

    @as_result
    async def perform(self, claimed: Claimed) -> object:
        """Run the handler. Returns what it returned."""
        item = claimed.item
        lease = Lease(self._worker, item.id, item.work.token)
        try:
            value = await self._under_lease(claimed, lease)
            if not lease.is_completed:
                await self._settle(claimed, lease)
        except LeaseLost:
            self._telemetry.work_ended(item.kind, WorkOutcome.LOST)
            raise
        except (Leaving, asyncio.CancelledError):
            self._telemetry.work_ended(item.kind, WorkOutcome.RELEASED)
            await asyncio.shield(self._release(item, timedelta(0)))
            raise
        except ServiceUnavailable as error:
            await self._wait_for_service(item, error)
            raise
        except Stalled as stalled:
            with suppress(DomainError):  # the process ends in any case, even when another worker holds the item now
                await self._setbacks.error(item, stalled)
            raise
        except OSError as error:
            if error.errno not in _EXHAUSTED_RESOURCES:
                await self._setbacks.error(item, error)
                raise
            outage = ServiceUnavailable(
                f"This machine is out of a resource ({error.strerror}).", retry_after_s=_RESOURCE_PAUSE_S
            )
            await self._wait_for_service(item, outage)
            raise outage from error
        except Exception as error:
            await self._setbacks.error(item, error)
            raise
        self._telemetry.work_ended(item.kind, WorkOutcome.DONE)
        return value

    async def _under_lease(self, claimed: Claimed, lease: Lease) -> object:
        item, handler, subject = claimed.item, claimed.handler, claimed.subject

        async def extend() -> bool:
            async with self._uow() as uow:
                await handler.save_progress(uow, subject, lease)
                held = await uow.work_items.extend(item.id, lease.token, self._clock.now() + self._rules.lease)
                if held:  # keep the progress of a worker that holds the item now
                    await uow.commit()
                return held

        return await run_under_lease(
            lease,
            handler.run(subject, lease),
            extend,
            heartbeat_s=self._rules.heartbeat_s,
            stall_s=self._rules.stall_s if handler.reports_progress else None,
        )

    @retried
    async def _settle(self, claimed: Claimed, lease: Lease) -> None:
        """Remove an item whose handler did not do so itself, or make it due again when it recurs."""
        item, period = claimed.item, claimed.handler.recurs_every
        async with self._uow() as uow:
            if period is None:
                await lease.complete(uow)
            else:
                current = await uow.work_items.get(item.id)
                if current is None:
                    raise LeaseLost
                current.succeed(lease.token, self._clock.now() + period)
                await uow.work_items.save(current, lease.token)
            await uow.commit()

    async def _wait_for_service(self, item: WorkItem, error: ServiceUnavailable) -> None:
        self._telemetry.work_ended(item.kind, WorkOutcome.RELEASED)
        delay = timedelta(seconds=error.retry_after_s)
        # The service that is down may be the database itself. Once the lease has expired, there is nothing to release.
        await retry_until(lambda: self._release(item, delay), for_s=self._rules.lease.total_seconds())

    @retried
    async def _release(self, held: WorkItem, delay: timedelta) -> None:
        async with self._uow() as uow:
            item = await uow.work_items.get(held.id)
            if item is None:
                raise LeaseLost
            item.release(held.work.token, self._clock.now() + delay)
            await uow.work_items.save(item, held.work.token)
            await uow.notify_work()
            await uow.commit()
