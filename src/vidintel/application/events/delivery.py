"""Delivering events to subscribers, and removing events that are delivered."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from vidintel.application.ports import (
    Clock,
    Delivery,
    DeliveryBatch,
    EventSubscriber,
    FailedDelivery,
    UnitOfWorkFactory,
)
from vidintel.application.retry import retried
from vidintel.domain.errors import DomainError, LeaseLost, ServiceUnavailable
from vidintel.domain.events import Subject
from vidintel.domain.work import RetryPolicy

_BATCH = 100
_REMOVED_AT_ONCE = 1_000
_MOST_REMOVALS = 50
_REMOVE_EVERY = timedelta(minutes=10)
_RENEW_EVERY = timedelta(hours=1)
_REASON_MAX = 500
# Added to the time that a subscriber may take for a batch, so that the lease is longer than that time.
_MARGIN = timedelta(seconds=5)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """How long a subscriber may take for a batch (seconds), and how failed deliveries are retried."""

    handle_s: float
    retry: RetryPolicy


class DeliverEvents:
    """Deliver to one subscriber the events that it has subscribed to. Every worker process calls this periodically.

    Every event whose transaction committed after the subscription is delivered at least once, and the events of one
    subject are delivered in order. A lease lets only one process at a time serve the subscriber.

    When a batch fails, its events are delivered one by one. An event that fails alone is retried with a growing delay.
    The later events of its subject wait for it; other subjects go on. After `RetryPolicy.max_attempts` the event
    becomes a dead letter with a reason, and its subject goes on. `ServiceUnavailable` does not count as an attempt:
    the next call serves the subscriber again.
    """

    def __init__(self, uow: UnitOfWorkFactory, subscriber: EventSubscriber, clock: Clock, rules: DeliveryRules) -> None:
        self._uow = uow
        self._subscriber = subscriber
        self._clock = clock
        self._rules = rules
        self._renew_at: datetime | None = None

    async def __call__(self) -> int:
        """Deliver until no event is due; returns how many events were delivered."""
        delivered = 0
        try:
            await self._renew_subscription()
            while (batch := await self._take()) is not None:
                delivered += await self._deliver(batch)
        except ServiceUnavailable as error:
            _log.warning("events.not_delivered", extra={"subscriber": self._subscriber.name, "reason": error.detail})
        except LeaseLost as error:
            _log.warning("events.lease_lost", extra={"subscriber": self._subscriber.name, "reason": error.detail})
        return delivered

    async def _renew_subscription(self) -> None:
        now = self._clock.now()
        if self._renew_at is None or now >= self._renew_at:
            await self._subscribe(now)
            self._renew_at = now + _RENEW_EVERY

    @retried
    async def _subscribe(self, now: datetime) -> None:
        async with self._uow() as uow:
            await uow.event_deliveries.subscribe(self._subscriber.name, self._subscriber.wants, now)
            await uow.commit()

    @retried
    async def _take(self) -> DeliveryBatch | None:
        async with self._uow() as uow:
            batch = await uow.event_deliveries.take(
                self._subscriber.name,
                self._subscriber.wants,
                now=self._clock.now(),
                leased_until=self._lease_end(),
                limit=_BATCH,
            )
            if batch is not None:
                await uow.commit()
            return batch

    async def _deliver(self, batch: DeliveryBatch) -> int:
        """Returns how many were delivered."""
        try:
            reason = await self._attempt(batch.deliveries)
            if reason is None:
                await self._settle(batch, delivered=[delivery.position for delivery in batch.deliveries])
                return len(batch.deliveries)
            if len(batch.deliveries) > 1:
                _log.warning("events.batch_failed", extra={"subscriber": batch.subscriber, "reason": reason})
                return await self._deliver_singly(batch)
            await self._settle(batch, failed=[self._failed(batch.deliveries[0], reason)])
            return 0
        except LeaseLost:
            raise
        except BaseException:
            # Also on shutdown, so that another process can continue before the lease expires.
            with suppress(DomainError):
                await asyncio.shield(self._settle(batch))
            raise

    async def _deliver_singly(self, batch: DeliveryBatch) -> int:
        delivered = 0
        waiting: set[Subject] = set()
        await self._settle(batch, leased_until=self._lease_end())
        for delivery in batch.deliveries:
            if delivery.event.subject in waiting:
                continue
            reason = await self._attempt([delivery])
            if reason is None:
                await self._settle(batch, delivered=[delivery.position], leased_until=self._lease_end())
                delivered += 1
                continue
            failed = self._failed(delivery, reason)
            await self._settle(batch, failed=[failed], leased_until=self._lease_end())
            if failed.retry_at is not None:
                waiting.add(delivery.event.subject)
        await self._settle(batch)
        return delivered

    async def _attempt(self, deliveries: Sequence[Delivery]) -> str | None:
        """Returns the reason when the delivery failed, else ``None``."""
        try:
            async with asyncio.timeout(self._rules.handle_s):
                await self._subscriber.handle([delivery.event for delivery in deliveries])
        except ServiceUnavailable:
            raise
        except TimeoutError:
            return f"The subscriber took longer than {self._rules.handle_s:g} s, or ran into its own time-out."
        except Exception as error:  # noqa: BLE001 - whatever it is, the other events are delivered
            said = f"{type(error).__name__}: {error}".replace("\x00", "")[:_REASON_MAX]
            return said.encode(errors="replace").decode()
        return None

    def _failed(self, delivery: Delivery, reason: str) -> FailedDelivery:
        attempts = delivery.attempts + 1
        dead = attempts >= self._rules.retry.max_attempts
        log = _log.error if dead else _log.warning
        log(
            "event.dead_lettered" if dead else "event.delivery_failed",
            extra={
                "subscriber": self._subscriber.name,
                "event_id": str(delivery.event.id),
                "type": delivery.event.type,
                "attempts": attempts,
                "reason": reason,
            },
        )
        retry_at = None if dead else self._clock.now() + self._rules.retry.delay(attempts)
        return FailedDelivery(delivery.position, reason, retry_at)

    @retried
    async def _settle(
        self,
        batch: DeliveryBatch,
        *,
        delivered: Sequence[int] = (),
        failed: Sequence[FailedDelivery] = (),
        leased_until: datetime | None = None,
    ) -> None:
        """Without ``leased_until``, the lease ends now."""
        now = self._clock.now()
        async with self._uow() as uow:
            await uow.event_deliveries.settle(
                batch, now=now, leased_until=leased_until or now, delivered=delivered, failed=failed
            )
            await uow.commit()

    def _lease_end(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._rules.handle_s) + _MARGIN


class RemoveEvents:
    """Remove events that are older than ``keep`` and have no delivery left. Worker processes call this periodically.

    Dead letters, and subscriptions that no process has renewed, are removed after ``keep`` as well.
    """

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, *, keep: timedelta) -> None:
        self._uow = uow
        self._clock = clock
        self._keep = keep
        self._remove_at = clock.now()

    async def __call__(self) -> int:
        """Returns how many rows were removed: a limited number, and none within ten minutes of the last time."""
        total = 0
        if self._clock.now() < self._remove_at:
            return total
        for _ in range(_MOST_REMOVALS):
            removed = await self._remove()
            total += removed
            if removed < _REMOVED_AT_ONCE:
                self._remove_at = self._clock.now() + _REMOVE_EVERY
                break
        return total

    @retried
    async def _remove(self) -> int:
        async with self._uow() as uow:
            removed = await uow.event_deliveries.remove_old(self._clock.now() - self._keep, _REMOVED_AT_ONCE)
            await uow.commit()
            return removed
