"""The outbox and the deliveries of its events in memory, for `tests.support.fakes.InMemoryUnitOfWork`."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from tests.support.in_memory import StoredDelivery, Transaction
from vidintel.application.ports import Delivery, DeliveryBatch, FailedDelivery
from vidintel.domain.errors import LeaseLost
from vidintel.domain.events import Event


class Outbox:
    def __init__(self, transaction: Transaction, notify: Callable[[], Awaitable[None]]) -> None:
        self._tables = transaction
        self._notify = notify

    async def add(self, event: Event) -> None:
        assert not self._tables.outbox.where(lambda other: other.id == event.id), "this event was added before"
        position = next(self._tables.positions)
        self._tables.outbox.put(position, event)
        subscriptions = [key for key, _ in self._tables.event_subscriptions.items()]
        for subscriber in (subscriber for type_, subscriber in subscriptions if type_ == event.type):
            self._tables.event_deliveries.put((subscriber, position), StoredDelivery(event.created_at))
            await self._notify()


class EventDeliveries:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def subscribe(self, subscriber: str, types: Collection[str], now: datetime) -> None:
        if self._tables.event_subscribers.get(subscriber) is None:
            self._tables.event_subscribers.put(subscriber, (0, now))
        for type_ in types:
            self._tables.event_subscriptions.put((type_, subscriber), now)

    async def take(
        self, subscriber: str, types: Collection[str], *, now: datetime, leased_until: datetime, limit: int
    ) -> DeliveryBatch | None:
        lease = self._tables.event_subscribers.get(subscriber)
        if lease is None or lease[1] > now:
            return None
        open_ = [
            (position, row)
            for (name, position), row in sorted(self._tables.event_deliveries.items(), key=lambda item: item[0])
            if name == subscriber and row.died_at is None
        ]
        waiting = {self._event(position).subject for position, row in open_ if row.due_at > now}
        due = [
            Delivery(position, event, row.attempts)
            for position, row in open_
            if (event := self._event(position)).type in types and event.subject not in waiting
        ]
        if not due:
            return None
        self._tables.event_subscribers.put(subscriber, (lease[0] + 1, leased_until))
        return DeliveryBatch(subscriber, lease[0] + 1, due[:limit])

    async def settle(
        self,
        batch: DeliveryBatch,
        *,
        now: datetime,
        leased_until: datetime,
        delivered: Sequence[int] = (),
        failed: Sequence[FailedDelivery] = (),
    ) -> None:
        lease = self._tables.event_subscribers.get(batch.subscriber)
        if lease is None or lease[0] != batch.token:
            raise LeaseLost("Another process serves this subscriber by now.")
        self._tables.event_subscribers.put(batch.subscriber, (batch.token, leased_until))
        for position in delivered:
            self._tables.event_deliveries.remove((batch.subscriber, position))
        for each in failed:
            row = self._tables.event_deliveries.get((batch.subscriber, each.position))
            assert row is not None
            row = replace(row, attempts=row.attempts + 1, failure=each.reason)
            dead, later = replace(row, died_at=now), replace(row, due_at=each.retry_at or row.due_at)
            self._tables.event_deliveries.put(
                (batch.subscriber, each.position), dead if each.retry_at is None else later
            )

    async def remove_old(self, before: datetime, limit: int) -> int:
        tables = self._tables
        stale = [key for key, renewed_at in tables.event_subscriptions.items() if renewed_at < before]
        for subscription in stale:
            tables.event_subscriptions.remove(subscription)
        wanted = {key for key, _ in tables.event_subscriptions.items()}
        given_up = [
            (subscriber, position)
            for (subscriber, position), row in tables.event_deliveries.items()
            if (row.died_at is not None and row.died_at < before)
            or (self._event(position).type, subscriber) not in wanted
        ][:limit]
        for delivery in given_up:
            tables.event_deliveries.remove(delivery)
        awaited = {position for (_, position), _ in tables.event_deliveries.items()}
        read = [p for p, event in tables.outbox.items() if event.created_at < before and p not in awaited][:limit]
        for position in read:
            tables.outbox.remove(position)
        return len(stale) + len(given_up) + len(read)

    def _event(self, position: int) -> Event:
        event = self._tables.outbox.get(position)
        assert event is not None
        return event
