"""The second cache level: documents in Redis, shared by all processes."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from redis.exceptions import RedisError

from vidintel.domain.analysis import JobId
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import RECENT_S, RecentWrites
from vidintel.infrastructure.cache.redis_connection import RedisConnection
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.database.read_model.data_loader import DataLoader
from vidintel.infrastructure.database.read_model.reports import Document, ReportDocuments
from vidintel.infrastructure.database.tables import jobs, videos
from vidintel.infrastructure.resilience.redis_availability import RedisAvailability

_LIFE_S = RECENT_S / 3
_RETRY_AFTER_S = 5.0
_PARSED = 1024

# A document holds whole rows, so that processes with other columns must not find it.
_SHAPE = sha256(" ".join(str(column) for table in (videos, jobs) for column in table.c).encode()).hexdigest()[:12]


R = TypeVar("R", bound=UUID)
_Key: TypeAlias = tuple[str, str, UUID]
"""Kind, tenant and id of what was asked for."""


class _Write(NamedTuple):
    key: _Key
    document: Document
    ends_at: float


class RedisDocuments:
    """Caches the `ReportDocuments` of ``source`` in Redis for a few seconds.

    Concurrent reads share one MGET, and concurrent writes one pipeline.

    Documents are never invalidated in Redis. Each one carries the snapshot of transactions that it was read in, and a
    reader knows which transactions the snapshot must include. So the order and the delay of writes to Redis do not
    matter. While a process may have missed changes, and while Redis does not answer, it reads from ``source``. The
    clocks of this machine and of the Redis server may differ by up to `RECENT_S` less those few seconds.
    """

    def __init__(
        self,
        source: ReportDocuments,
        url: str,
        writes: RecentWrites,
        counted: CountedCaches,
        *,
        namespace: str,
        time_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._reading, self._saving = RedisConnection(url), RedisConnection(url)
        self._writes = writes
        self._counted = counted
        self._prefix = f"{namespace}:cache:{_SHAPE}"
        self._redis = RedisAvailability("cache", retry_after_s=_RETRY_AFTER_S, time_s=time_s)
        self._reads: DataLoader[_Key, Document] = DataLoader(self._read)
        self._saves: DataLoader[_Write, None] = DataLoader(self._save)

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> Document | None:
        return await self._through("video", tenant_id, video_id, self._source.video)

    async def job(self, tenant_id: TenantId, job_id: JobId) -> Document | None:
        return await self._through("job", tenant_id, job_id, self._source.job)

    async def close(self) -> None:
        await self._reading.close()
        await self._saving.close()
        await self._source.close()

    async def _through(
        self, kind: str, tenant_id: TenantId, row_id: R, load: Callable[[TenantId, R], Awaitable[Document | None]]
    ) -> Document | None:
        if not self._writes.are_known() or not self._redis.is_available:
            self._counted.count(kind, "redis_bypass")
            return await load(tenant_id, row_id)
        key = (kind, tenant_id.value, row_id)
        found = await self._reads.load(key)
        if found is not None:
            self._counted.count(kind, "redis_hit")
            return found
        self._counted.count(kind, "redis_miss")
        ends_at = time.time() + _LIFE_S  # counted from before the read, however long the read takes
        document = await load(tenant_id, row_id)
        if document is not None:
            await self._saves.load(_Write(key, document, ends_at))
        return document

    async def _read(self, keys: Sequence[_Key]) -> Mapping[_Key, Document]:
        """The documents that are there and up to date."""
        if not self._redis.is_available:  # it failed while these waited for their batch
            return {}
        try:
            (kept,) = await self._reading.ask(["MGET", *map(self._name, keys)])
        except (RedisError, OSError) as error:
            self._redis.failed(error)
            return {}
        found: dict[_Key, Document] = {}
        for key, value in zip(keys, kept, strict=True):
            if value is not None:
                document = _document(value)
                if self._writes.are_all_in(document.video_id, document.snapshot):
                    found[key] = document
        return found

    async def _save(self, writes: Sequence[_Write]) -> Mapping[_Write, None]:
        if self._redis.is_available:
            try:
                await self._saving.ask(*map(self._set, writes))
            except (RedisError, OSError) as error:
                self._redis.failed(error)
        return {}

    def _set(self, write: _Write) -> Sequence[str | int]:
        document = write.document
        kept = f"{document.video_id}\n{document.snapshot}\n{document.text}"
        return "SET", self._name(write.key), kept, "PXAT", round(write.ends_at * 1000)

    def _name(self, key: _Key) -> str:
        kind, tenant, row_id = key
        return f"{self._prefix}:{kind}:{tenant}:{row_id}"


@lru_cache(_PARSED)
def _document(kept: bytes) -> Document:
    video_id, snapshot, text = kept.decode().split("\n", 2)
    return Document(text, snapshot, VideoId(UUID(video_id)))
