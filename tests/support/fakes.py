"""In-memory stand-ins for the adapters. Each passes the contract suite that the real one passes."""

import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import BinaryIO, Self

from tests.support.in_memory import (
    Detections,
    Jobs,
    ObjectDeletions,
    Results,
    Segments,
    Snapshots,
    Store,
    Tracks,
    Transaction,
    Videos,
    WorkQueue,
)
from tests.support.in_memory_events import EventDeliveries, Outbox
from vidintel.domain.errors import PayloadTooLarge, StorageError
from vidintel.domain.video import StoredContent


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 5, 1, 12, tzinfo=UTC)) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


class FakeObjectStorage:
    """Keeps ``objects`` by key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def close(self) -> None:
        """Nothing is held."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        content = b""
        async for chunk in chunks:
            content += chunk
            if len(content) > max_bytes:
                raise PayloadTooLarge(max_bytes)
        self.objects[key] = content
        return StoredContent(key, len(content), hashlib.sha256(content).hexdigest())

    async def size(self, key: str) -> int | None:
        return len(self.objects[key]) if key in self.objects else None

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        yield self._get(key)[start:end]

    def open(self, key: str) -> BinaryIO:
        return io.BytesIO(self._get(key))

    async def link(self, key: str, *, media_type: str, file_name: str) -> str | None:
        return None

    async def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    async def purge_unfinished(self, older_than_s: float) -> int:
        return 0

    async def check(self) -> None: ...

    def _get(self, key: str) -> bytes:
        if key not in self.objects:
            raise StorageError(f"There is no object {key}.")
        return self.objects[key]


@dataclass
class InMemoryDatabase(Store):
    """What was committed, how often, and how often that rang the task_queue. ``open`` counts units of work now open."""

    open: int = 0
    commits: int = 0
    rings: int = 0

    def unit_of_work(self) -> "InMemoryUnitOfWork":
        """The factory to inject."""
        return InMemoryUnitOfWork(self)


class InMemoryUnitOfWork:
    """Sees what others committed and what it wrote itself; what it wrote is gone unless committed."""

    def __init__(self, database: InMemoryDatabase) -> None:
        self._database = database
        self.committed = False
        self._begin()

    def _begin(self) -> None:
        self._transaction = Transaction(self._database)
        self._notifications = 0
        self.videos = Videos(self._transaction)
        self.jobs = Jobs(self._transaction)
        self.segments = Segments(self._transaction)
        self.detections = Detections(self._transaction)
        self.tracks = Tracks(self._transaction)
        self.snapshots = Snapshots(self._transaction)
        self.results = Results(self._transaction)
        self.object_deletions = ObjectDeletions(self._transaction)
        self.work_queue = WorkQueue(self._transaction)
        self.outbox = Outbox(self._transaction, self.notify_work)
        self.event_deliveries = EventDeliveries(self._transaction)

    async def __aenter__(self) -> Self:
        self._database.open += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.open -= 1
        self._begin()

    async def notify_work(self) -> None:
        self._notifications = 1  # however often a transaction rings, it is heard once

    async def commit(self) -> None:
        self._transaction.commit()
        self._database.commits += 1
        self._database.rings += self._notifications
        self._notifications = 0
        self.committed = True
