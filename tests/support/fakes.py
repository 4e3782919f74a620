"""In-memory stand-ins for the adapters. Each passes the contract suite that the real one passes."""

import hashlib
import io
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
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
    WorkItems,
)
from tests.support.in_memory_events import EventDeliveries, Outbox
from vidintel.application.ports import UploadId
from vidintel.domain.errors import PayloadTooLarge, StorageError, UploadInUse, UploadNotFound, UploadOffsetMismatch
from vidintel.domain.video import StoredContent
from vidintel.infrastructure.storage.keys import new_upload_id, parts_of


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 5, 1, 12, tzinfo=UTC)) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


@dataclass
class FakeUpload:
    """What was appended. A finished one is kept until it is purged, as on the disk."""

    key: str
    content: bytes = b""
    is_finished: bool = False
    is_in_use: bool = False
    changed_at: float = field(default_factory=time.monotonic)


class FakeObjectStorage:
    """Keeps ``objects`` by key, and ``uploads``."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[UploadId, FakeUpload] = {}

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

    async def begin_upload(self, key: str) -> UploadId:
        upload = new_upload_id(key)
        self.uploads[upload] = FakeUpload(key)
        return upload

    async def append(
        self, upload: UploadId, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int, atomic: bool = False
    ) -> int:
        entry = self._upload(upload)
        if entry.is_finished:
            raise UploadNotFound
        if len(entry.content) != offset:
            raise UploadOffsetMismatch(offset, len(entry.content))
        if entry.is_in_use:
            raise UploadInUse
        entry.is_in_use, content, ends_well = True, entry.content, False
        try:
            async for chunk in chunks:
                if len(content) + len(chunk) > max_bytes:
                    raise PayloadTooLarge(max_bytes)
                content += chunk
            ends_well = True
        finally:
            if ends_well or not atomic:
                entry.content, entry.changed_at = content, time.monotonic()
            entry.is_in_use = False
        if upload not in self.uploads:  # aborted meanwhile
            raise UploadNotFound
        return len(content)

    async def upload_offset(self, upload: UploadId) -> int:
        return len(self._upload(upload).content)

    async def finish_upload(self, upload: UploadId) -> StoredContent:
        entry = self._upload(upload)
        if entry.is_in_use:
            raise UploadInUse
        entry.is_finished = True
        self.objects[entry.key] = entry.content
        return StoredContent(entry.key, len(entry.content), hashlib.sha256(entry.content).hexdigest())

    async def abort_upload(self, upload: UploadId) -> None:
        parts_of(upload)
        self.uploads.pop(upload, None)

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
        newest = time.monotonic() - older_than_s
        old = [upload for upload, entry in self.uploads.items() if entry.changed_at <= newest]
        return sum(not self.uploads.pop(upload).is_finished for upload in old)

    async def check(self) -> None: ...

    def _upload(self, upload: UploadId) -> FakeUpload:
        parts_of(upload)
        if upload not in self.uploads:
            raise UploadNotFound
        return self.uploads[upload]

    def _get(self, key: str) -> bytes:
        if key not in self.objects:
            raise StorageError(f"There is no object {key}.")
        return self.objects[key]


@dataclass
class InMemoryDatabase(Store):
    """What was committed, how often, and how often that notified workers. ``open`` counts units of work now open."""

    open: int = 0
    commits: int = 0
    notifications: int = 0

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
        self.work_items = WorkItems(self._transaction)
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
        self._notifications = 1  # however often a transaction notifies, it is heard once

    async def commit(self) -> None:
        self._transaction.commit()
        self._database.commits += 1
        self._database.notifications += self._notifications
        self._notifications = 0
        self.committed = True
