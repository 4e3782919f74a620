"""Where a process can be stopped: before and after each commit, each call of the storage and each message.

These are put around the container's providers. What a process does between two of them leaves no trace outside of it.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from vidintel.application.ports import DueWork, ObjectStorage, UploadId
from vidintel.domain.video import StoredContent
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork


class CrashPoints:
    """Passes each point, and calls ``crash`` at number ``crash_at`` (from 0). ``step`` says what is being done."""

    def __init__(self, crash_at: int | None, crash: Callable[[], None]) -> None:
        self._crash_at = crash_at
        self._crash = crash
        self.passed: list[str] = []
        self.step = ""

    def here(self, what: str) -> None:
        if len(self.passed) == self._crash_at:
            self._crash()
        self.passed.append(f"{self.step}: {what}")

    def distinct(self) -> Iterator[int]:
        """The numbers of those passed, without those before a call that follows right after another call's end."""
        for number, point in enumerate(self.passed):
            previous = self.passed[number - 1] if number else ""
            if not (previous.startswith(f"{point.split(':')[0]}: after") and ": before" in point):
                yield number

    @contextmanager
    def around(self, call: str) -> Iterator[None]:
        self.here(f"before {call}")
        yield
        self.here(f"after {call}")


class CrashingUnitOfWork(SqlUnitOfWork):
    def __init__(self, sessions: async_sessionmaker[AsyncSession], points: CrashPoints) -> None:
        super().__init__(sessions)
        self._points = points

    async def commit(self) -> None:
        with self._points.around("commit"):
            await super().commit()


class CrashingStorage:
    """Implements `ObjectStorage` over another."""

    def __init__(self, inner: ObjectStorage, points: CrashPoints) -> None:
        self._inner = inner
        self._points = points

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        with self._points.around("put"):
            return await self._inner.put(key, self._half_way(chunks, "put"), max_bytes=max_bytes)

    async def begin_upload(self, key: str) -> UploadId:
        with self._points.around("begin upload"):
            return await self._inner.begin_upload(key)

    async def append(
        self, upload: UploadId, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int, atomic: bool = False
    ) -> int:
        with self._points.around("append"):
            within = self._half_way(chunks, "append")
            return await self._inner.append(upload, offset, within, max_bytes=max_bytes, atomic=atomic)

    async def upload_offset(self, upload: UploadId) -> int:
        with self._points.around("upload offset"):
            return await self._inner.upload_offset(upload)

    async def finish_upload(self, upload: UploadId) -> StoredContent:
        with self._points.around("finish upload"):
            return await self._inner.finish_upload(upload)

    async def abort_upload(self, upload: UploadId) -> None:
        with self._points.around("abort upload"):
            await self._inner.abort_upload(upload)

    async def size(self, key: str) -> int | None:
        with self._points.around("size"):
            return await self._inner.size(key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        return self._inner.read(key, start, end)

    def open(self, key: str) -> BinaryIO:
        with self._points.around("open"):
            return self._inner.open(key)

    async def link(self, key: str, *, media_type: str, file_name: str) -> str | None:
        return await self._inner.link(key, media_type=media_type, file_name=file_name)

    async def delete(self, key: str) -> None:
        with self._points.around("delete"):
            await self._inner.delete(key)

    async def purge_unfinished(self, older_than_s: float) -> int:
        with self._points.around("purge"):
            return await self._inner.purge_unfinished(older_than_s)

    async def check(self) -> None:
        await self._inner.check()

    async def _half_way(self, chunks: AsyncIterator[bytes], call: str) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
            self._points.here(f"within {call}")


class CrashingQueue:
    """Implements `TaskQueue`: what was ``enqueued`` waits until the driver does it."""

    capacity = 1

    def __init__(self, points: CrashPoints) -> None:
        self._points = points
        self.enqueued: list[DueWork] = []

    async def backlog(self) -> int:
        return len(self.enqueued)

    async def enqueue(self, work: Sequence[DueWork]) -> None:
        with self._points.around("enqueue"):
            self.enqueued += work
