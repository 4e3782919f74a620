"""The outbox, and the deliveries of its events."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import DateTime, Uuid

from vidintel.application.ports import Delivery, DeliveryBatch, FailedDelivery
from vidintel.domain.errors import LeaseLost
from vidintel.domain.events import Event, Subject
from vidintel.domain.identity import TenantId
from vidintel.infrastructure.database.tables import event_deliveries, event_subscribers, event_subscriptions
from vidintel.infrastructure.database.work_notifications import CHANNEL

# One statement and one round trip for any number of subscribers.
_ADD = text("""
WITH event AS (
    INSERT INTO outbox (id, type, version, tenant_id, subject_kind, subject_id, payload, created_at)
    VALUES (:id, :type, :version, :tenant_id, :subject_kind, :subject_id, :payload, :created_at)
    RETURNING position, type, created_at
), delivery AS (
    INSERT INTO event_deliveries (subscriber, position, due_at, attempts)
    SELECT event_subscriptions.subscriber, event.position, event.created_at, 0
    FROM event JOIN event_subscriptions ON event_subscriptions.type = event.type
    RETURNING subscriber
)
SELECT pg_notify(:channel, '') FROM (SELECT FROM delivery LIMIT 1) AS any_delivery
""").bindparams(
    bindparam("id", type_=Uuid()),
    bindparam("subject_id", type_=Uuid()),
    bindparam("payload", type_=JSONB()),
    bindparam("created_at", type_=DateTime(timezone=True)),
)

# Deliveries are few that wait for their next attempt. They are found by the index on `due_at`, those that are due in
# the order of the primary key.
_DUE = text("""
SELECT delivery.attempts, outbox.*
FROM event_deliveries AS delivery JOIN outbox ON outbox.position = delivery.position
WHERE delivery.subscriber = :subscriber AND delivery.died_at IS NULL AND delivery.due_at <= :now
  AND outbox.type = ANY(:types)
  AND (outbox.subject_kind, outbox.subject_id) NOT IN (
      SELECT blocked.subject_kind, blocked.subject_id
      FROM event_deliveries AS later JOIN outbox AS blocked ON blocked.position = later.position
      WHERE later.subscriber = :subscriber AND later.died_at IS NULL AND later.due_at > :now
  )
ORDER BY delivery.position LIMIT :limit
""")

_REMOVE_OLD = (
    text("DELETE FROM event_subscriptions WHERE renewed_at < :before RETURNING 1"),
    text("""
DELETE FROM event_deliveries WHERE (subscriber, position) IN (
    SELECT delivery.subscriber, delivery.position
    FROM event_deliveries AS delivery JOIN outbox ON outbox.position = delivery.position
    WHERE delivery.died_at < :before OR NOT EXISTS (
        SELECT FROM event_subscriptions AS subscription
        WHERE subscription.type = outbox.type AND subscription.subscriber = delivery.subscriber
    )
    LIMIT :limit
) RETURNING 1"""),
    text("""
DELETE FROM outbox WHERE position IN (
    SELECT position FROM outbox
    WHERE created_at < :before
      AND NOT EXISTS (SELECT FROM event_deliveries WHERE event_deliveries.position = outbox.position)
    LIMIT :limit
) RETURNING 1"""),
)


class SqlOutbox:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, event: Event) -> None:
        await self._session.execute(
            _ADD,
            {
                "id": event.id,
                "type": event.type,
                "version": event.version,
                "tenant_id": event.tenant_id.value,
                "subject_kind": event.subject.kind,
                "subject_id": event.subject.id,
                "payload": event.payload,
                "created_at": event.created_at,
                "channel": CHANNEL,
            },
        )


class SqlEventDeliveries:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def subscribe(self, subscriber: str, types: Collection[str], now: datetime) -> None:
        known = insert(event_subscribers).values(name=subscriber, token=0, leased_until=now)
        await self._session.execute(known.on_conflict_do_nothing())
        if types:
            rows = [{"subscriber": subscriber, "type": type_, "renewed_at": now} for type_ in sorted(types)]
            wanted = insert(event_subscriptions).values(rows)
            key = [event_subscriptions.c.type, event_subscriptions.c.subscriber]
            await self._session.execute(wanted.on_conflict_do_update(index_elements=key, set_={"renewed_at": now}))

    async def take(
        self, subscriber: str, types: Collection[str], *, now: datetime, leased_until: datetime, limit: int
    ) -> DeliveryBatch | None:
        free = select(event_subscribers.c.token).where(
            event_subscribers.c.name == subscriber, event_subscribers.c.leased_until <= now
        )
        token = await self._session.scalar(free.with_for_update(key_share=True, skip_locked=True))
        if token is None:
            return None
        # A statement of its own: it sees what the process that had the lease before has removed.
        values = {"subscriber": subscriber, "now": now, "types": list(types), "limit": limit}
        rows = (await self._session.execute(_DUE, values)).all()
        if not rows:
            return None
        await self._session.execute(
            update(event_subscribers)
            .where(event_subscribers.c.name == subscriber)
            .values(token=token + 1, leased_until=leased_until)
        )
        return DeliveryBatch(subscriber, token + 1, [_to_delivery(row) for row in rows])

    async def settle(
        self,
        batch: DeliveryBatch,
        *,
        now: datetime,
        leased_until: datetime,
        delivered: Sequence[int] = (),
        failed: Sequence[FailedDelivery] = (),
    ) -> None:
        held = await self._session.scalar(
            update(event_subscribers)
            .where(event_subscribers.c.name == batch.subscriber, event_subscribers.c.token == batch.token)
            .values(leased_until=leased_until)
            .returning(event_subscribers.c.token)
        )
        if held is None:
            raise LeaseLost("Another process serves this subscriber by now.")
        ours = event_deliveries.c.subscriber == batch.subscriber
        if delivered:
            await self._session.execute(
                delete(event_deliveries).where(ours, event_deliveries.c.position.in_(delivered))
            )
        for each in failed:
            await self._session.execute(
                update(event_deliveries)
                .where(ours, event_deliveries.c.position == each.position)
                .values(
                    attempts=event_deliveries.c.attempts + 1,
                    failure=each.reason,
                    due_at=func.coalesce(each.retry_at, event_deliveries.c.due_at),
                    died_at=now if each.retry_at is None else None,
                )
            )

    async def remove_old(self, before: datetime, limit: int) -> int:
        removed = 0
        for statement in _REMOVE_OLD:
            result = await self._session.execute(statement, {"before": before, "limit": limit})
            removed += len(result.all())
        return removed


def _to_delivery(row: Row[Any]) -> Delivery:
    event = Event(
        id=row.id,
        type=row.type,
        version=row.version,
        tenant_id=TenantId(row.tenant_id),
        subject=Subject(row.subject_kind, row.subject_id),
        payload=row.payload,
        created_at=row.created_at,
    )
    return Delivery(row.position, event, row.attempts)
