"""Work items in PostgreSQL: due work, handed out fairly, and the leases on it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, delete, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.application.ports import DueWork
from vidintel.domain.errors import LeaseLost
from vidintel.domain.identity import TenantId
from vidintel.domain.work import Cause, Priority, Work, WorkItem, WorkItemId
from vidintel.infrastructure.database.tables import work_items

LOOKAHEAD = 4
"""Candidates per item asked for, so that dispatchers at work at the same moment find enough that is not locked."""

# A flow is a tenant's items of one family. The flows are found by skipping through an index, and at most `:candidates`
# of each are read without locks, in their order. Then exactly as many are locked as are handed out, in the order of
# fairness: every tenant's first item before any tenant's second, a tenant's families in turn, and both in the order in
# which they were served, those never served first. There is no sort above the locks, which would lock all candidates:
# those of a materialised CTE come in its order.
DUE = text("""
WITH RECURSIVE served AS (
    SELECT tenant_id, family, place
    FROM unnest(CAST(:tenants AS text[]), CAST(:families AS text[])) WITH ORDINALITY AS s(tenant_id, family, place)
), flows AS (
    (SELECT tenant_id, family FROM work_items WHERE owner IS NULL ORDER BY tenant_id, family LIMIT 1)
    UNION ALL
    SELECT following.tenant_id, following.family
    FROM flows CROSS JOIN LATERAL (
        SELECT tenant_id, family FROM work_items
        WHERE owner IS NULL AND (tenant_id, family) > (flows.tenant_id, flows.family)
        ORDER BY tenant_id, family LIMIT 1
    ) AS following
), ready AS (
    SELECT item.*, flows.tenant_id, coalesce(served.place, 0) AS flow_served,
           coalesce(max(served.place) OVER (PARTITION BY flows.tenant_id), 0) AS tenant_served
    FROM flows LEFT JOIN served ON served.tenant_id = flows.tenant_id AND served.family = flows.family
    CROSS JOIN LATERAL (
        SELECT due.id, due.priority, due.created_at, due.group_id, due.ordinal,
               row_number() OVER (ORDER BY due.priority, due.created_at, due.group_id, due.ordinal, due.id) AS turn
        FROM (
            SELECT id, priority, created_at, group_id, ordinal FROM work_items
            WHERE owner IS NULL AND tenant_id = flows.tenant_id AND family = flows.family
              AND due_at <= :now AND kind = ANY(CAST(:kinds AS text[]))
            ORDER BY priority, created_at, group_id, ordinal, id LIMIT :candidates
        ) AS due
    ) AS item
), turns AS (
    SELECT id, tenant_id, tenant_served, created_at,
           row_number() OVER (
               PARTITION BY tenant_id ORDER BY turn, flow_served, priority, created_at, group_id, ordinal, id
           ) AS turn
    FROM ready
), candidates AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY turn, tenant_served, created_at, id) AS rank
    FROM turns ORDER BY turn, tenant_served, created_at, id LIMIT :candidates
), taken AS MATERIALIZED (
    SELECT item.id, candidates.rank
    FROM candidates CROSS JOIN LATERAL (
        SELECT id FROM work_items
        WHERE work_items.id = candidates.id AND owner IS NULL AND due_at <= :now
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS item
    LIMIT :limit
)
UPDATE work_items SET due_at = :redispatch_at WHERE id = ANY(ARRAY(SELECT id FROM taken))
RETURNING id, kind, tenant_id, (SELECT rank FROM taken WHERE taken.id = work_items.id) AS rank
""")


class SqlWorkItemRepository:
    """Implements `WorkItemRepository`. New items are stored with their ``cause``."""

    def __init__(self, session: AsyncSession, cause: Callable[[], Cause] = Cause) -> None:
        self._session = session
        self._cause = cause

    async def add_all(self, items: Sequence[WorkItem]) -> None:
        if items:
            caused = _cause_to_row(self._cause())
            await self._session.execute(insert(work_items), [_to_row(item) | caused for item in items])

    async def ensure(self, item: WorkItem) -> None:
        values = _to_row(item) | _cause_to_row(item.cause)
        await self._session.execute(upsert(work_items).values(values).on_conflict_do_nothing(index_elements=["id"]))

    async def get(self, item_id: WorkItemId) -> WorkItem | None:
        row = (await self._session.execute(select(work_items).where(work_items.c.id == item_id))).one_or_none()
        return None if row is None else _to_entity(row)

    async def due(
        self,
        now: datetime,
        limit: int,
        redispatch_at: datetime,
        *,
        kinds: Sequence[str],
        served: Sequence[tuple[TenantId, str]] = (),
    ) -> Sequence[DueWork]:
        values = {
            "now": now,
            "limit": limit,
            "candidates": LOOKAHEAD * limit,
            "redispatch_at": redispatch_at,
            "kinds": list(kinds),
            "tenants": [tenant.value for tenant, _ in served],
            "families": [family for _, family in served],
        }
        rows = (await self._session.execute(DUE, values)).all()
        return [
            DueWork(WorkItemId(row.id), row.kind, TenantId(row.tenant_id))
            for row in sorted(rows, key=lambda row: int(row.rank))
        ]

    async def claim(self, item_id: WorkItemId, owner: str, now: datetime, due_at: datetime) -> WorkItem | None:
        is_free = or_(work_items.c.owner.is_(None), work_items.c.due_at <= now)
        claimed = await self._session.execute(
            update(work_items)
            .where(work_items.c.id == item_id, is_free)
            .values(owner=owner, due_at=due_at, token=work_items.c.token + 1)
            .returning(*work_items.c)
        )
        row = claimed.one_or_none()
        return None if row is None else _to_entity(row)

    async def extend(self, item_id: WorkItemId, token: int, due_at: datetime) -> bool:
        extended = await self._session.execute(
            update(work_items).where(_is_held(item_id, token)).values(due_at=due_at).returning(work_items.c.id)
        )
        return extended.one_or_none() is not None

    async def save(self, item: WorkItem, token: int) -> None:
        saved = await self._session.execute(
            update(work_items)
            .where(work_items.c.id == item.id, work_items.c.token == token)
            .values(_to_row(item))
            .returning(work_items.c.id)
        )
        if saved.one_or_none() is None:
            raise LeaseLost

    async def complete(self, item_id: WorkItemId, token: int) -> bool:
        removed = await self._session.execute(
            delete(work_items).where(_is_held(item_id, token)).returning(work_items.c.id)
        )
        return removed.one_or_none() is not None

    async def cancel_group(self, group_id: UUID, *, spare: WorkItemId | None = None) -> None:
        of_group = work_items.c.group_id == group_id
        cancelled = of_group if spare is None else and_(of_group, work_items.c.id != spare)
        await self._session.execute(delete(work_items).where(cancelled))

    async def expired(self, now: datetime, limit: int) -> Sequence[WorkItem]:
        lease_ran_out = and_(work_items.c.owner.is_not(None), work_items.c.due_at <= now)
        return await self._all(select(work_items).where(lease_ran_out).order_by(work_items.c.due_at).limit(limit))

    async def held_by(self, owner: str, limit: int) -> Sequence[WorkItem]:
        is_holder = or_(work_items.c.owner == owner, work_items.c.owner.startswith(f"{owner}/", autoescape=True))
        return await self._all(select(work_items).where(is_holder).order_by(work_items.c.due_at).limit(limit))

    async def _all(self, query: Select[Any]) -> list[WorkItem]:
        return [_to_entity(row) for row in await self._session.execute(query)]


def _is_held(item_id: WorkItemId, token: int) -> Any:
    return and_(work_items.c.id == item_id, work_items.c.token == token, work_items.c.owner.is_not(None))


def _cause_to_row(cause: Cause) -> dict[str, object]:
    return {"request_id": cause.request_id, "traceparent": cause.traceparent}


def _to_row(item: WorkItem) -> dict[str, object]:
    """All columns but those of its cause, which never changes."""
    return {
        "id": item.id,
        "kind": item.kind,
        "family": item.family,
        "subject_id": item.subject_id,
        "group_id": item.group_id,
        "tenant_id": item.tenant_id.value,
        "priority": item.priority.value,
        "created_at": item.created_at,
        "ordinal": item.ordinal,
        "due_at": item.work.due_at,
        "token": item.work.token,
        "owner": item.work.owner,
        "attempts": item.work.attempts,
        "deaths": item.work.deaths,
        "interruptions": item.work.interruptions,
    }


def _to_entity(row: Row[Any]) -> WorkItem:
    return WorkItem(
        id=WorkItemId(row.id),
        kind=row.kind,
        subject_id=row.subject_id,
        group_id=row.group_id,
        tenant_id=TenantId(row.tenant_id),
        priority=Priority(row.priority),
        created_at=row.created_at,
        ordinal=row.ordinal,
        cause=Cause(row.request_id, row.traceparent),
        _work=Work(
            due_at=row.due_at,
            token=row.token,
            owner=row.owner,
            attempts=row.attempts,
            deaths=row.deaths,
            interruptions=row.interruptions,
        ),
    )
