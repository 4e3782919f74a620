"""How much work waits, and how many events, asked of the database: it is the queue."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from vidintel.application.jobs.work import PLAN
from vidintel.domain.work import SYSTEM_TENANT

FRESH_FOR_S = 5.0
_PATIENCE_S = 2.0

# A tenant is an organisation, or a user who acts alone; ids have Clerk's prefixes. Ids themselves never become labels.
# A job that no worker has held yet waits since it was made; one that is to be tried again, since it became due.
_WAITING = text(r"""
SELECT CASE WHEN tenant_id LIKE 'org\_%' THEN 'organisation' ELSE 'personal' END AS class, count(*) AS pieces,
       coalesce(max(CASE WHEN kind = :plan
           THEN extract(epoch FROM now() - CASE WHEN token = 0 THEN created_at ELSE due_at END) END), 0) AS age_s
FROM work_items
WHERE owner IS NULL AND tenant_id <> :system
GROUP BY class
""").bindparams(system=SYSTEM_TENANT.value, plan=PLAN)

# Every subscriber has a row, also when it has been told everything.
_EVENTS = text("""
SELECT name, count(delivery.position) FILTER (WHERE died_at IS NULL) AS waiting,
       count(delivery.position) FILTER (WHERE died_at IS NOT NULL) AS dead,
       coalesce(extract(epoch FROM now() - min(outbox.created_at) FILTER (WHERE died_at IS NULL)), 0) AS age_s
FROM event_subscribers
LEFT JOIN event_deliveries AS delivery ON delivery.subscriber = event_subscribers.name
LEFT JOIN outbox ON outbox.position = delivery.position
GROUP BY name
""")

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class EventGauges:
    """What each subscriber of events has still to be told. The names of subscribers are a small fixed set."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waiting = Gauge(
            "vidintel_events_waiting", "Events to be delivered to a subscriber.", ("subscriber",), registry=registry
        )
        self._age_s = Gauge(
            "vidintel_events_oldest_waiting_seconds",
            "The age of the oldest event to be delivered to a subscriber.",
            ("subscriber",),
            registry=registry,
        )
        self._dead = Gauge(
            "vidintel_events_dead_letters",
            "Events whose delivery to a subscriber was given up.",
            ("subscriber",),
            registry=registry,
        )

    def show(self, rows: Sequence[Row[Any]]) -> None:
        self.clear()
        for row in rows:
            self._waiting.labels(row.name).set(row.waiting)
            self._age_s.labels(row.name).set(max(0.0, float(row.age_s)))
            self._dead.labels(row.name).set(row.dead)

    def clear(self) -> None:
        for gauge in (self._waiting, self._age_s, self._dead):
            gauge.clear()


class QueueSampler:
    """Keeps gauges of what waits, at most `FRESH_FOR_S` seconds old when asked to `refresh`.

    Where the database does not answer there are no gauges: an old figure would look like a good one.
    """

    CLASSES = ("organisation", "personal")

    def __init__(self, engine: AsyncEngine, registry: CollectorRegistry) -> None:
        self._engine = engine
        self._depth = Gauge(
            "vidintel_queue_depth",
            "Work items that wait for a worker.",
            ("tenant_class",),
            registry=registry,
        )
        self._age_s = Gauge(
            "vidintel_queue_oldest_job_seconds",
            "How long the oldest job that no worker has begun has been waiting.",
            ("tenant_class",),
            registry=registry,
        )
        self._events = EventGauges(registry)
        self._failures = Counter(
            "vidintel_queue_sample_failures_total",
            "The database was asked what waits, and did not say.",
            registry=registry,
        )
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")

    async def refresh(self) -> None:
        async with self._lock:
            if time.monotonic() - self._asked_at < FRESH_FOR_S:
                return
            try:
                async with asyncio.timeout(_PATIENCE_S), self._engine.connect() as connection:
                    rows = (await connection.execute(_WAITING)).all()
                    self._events.show((await connection.execute(_EVENTS)).all())
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the other figures are wanted
                self._depth.clear()
                self._age_s.clear()
                self._events.clear()
                self._failures.inc()
                _log.warning("queue.not_sampled", error=type(error).__name__)
                return
            found = {name: (pieces, age_s) for name, pieces, age_s in rows}
            for name in self.CLASSES:
                pieces, age_s = found.get(name, (0, 0))
                self._depth.labels(name).set(float(pieces))
                self._age_s.labels(name).set(max(0.0, float(age_s)))
            self._asked_at = time.monotonic()
