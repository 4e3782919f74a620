"""The second level: documents in Redis, shared by all processes."""

import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from vidintel.domain.analysis import JobId
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import RECENT_S, RecentWrites
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.database.read_model.reports import Document, ReportDocuments
from vidintel.infrastructure.database.tables import jobs, videos

_LIFE_S = RECENT_S / 3
_PAUSE_S = 5.0
_TIMEOUT_S = 0.5

# A document holds whole rows: one of another version of the tables is none.
_SHAPE = sha256(" ".join(str(column) for table in (videos, jobs) for column in table.c).encode()).hexdigest()[:12]

_log = structlog.get_logger(__name__)


def create_cache_client(url: str) -> Redis:
    """A client that gives up at once: what it is asked for can be had elsewhere."""
    return Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
    )


class RedisDocuments:
    """`ReportDocuments` of ``source``, kept in Redis for a few seconds.

    Nothing is ever deleted there, and nothing needs to be: a document says which transactions it has seen, and whoever
    finds it knows which ones it must have seen. So it does not matter who writes what there, when, or after what pause.
    While that is not known for certain, and while Redis does not answer, ``source`` is asked. The clocks of this
    machine and of Redis' may differ by up to `RECENT_S` less those few seconds.
    """

    def __init__(
        self,
        source: ReportDocuments,
        client: Redis,
        writes: RecentWrites,
        counted: CountedCaches,
        *,
        namespace: str,
        time_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._client = client
        self._writes = writes
        self._counted = counted
        self._prefix = f"{namespace}:cache:{_SHAPE}"
        self._time_s = time_s
        self._away_until = -_PAUSE_S

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> Document | None:
        return await self._through("video", tenant_id, video_id, lambda: self._source.video(tenant_id, video_id))

    async def job(self, tenant_id: TenantId, job_id: JobId) -> Document | None:
        return await self._through("job", tenant_id, job_id, lambda: self._source.job(tenant_id, job_id))

    async def _through(
        self, kind: str, tenant_id: TenantId, row_id: UUID, read: Callable[[], Awaitable[Document | None]]
    ) -> Document | None:
        if not self._writes.are_known() or self._time_s() < self._away_until:
            self._counted.count(kind, "redis_bypass")
            return await read()
        key = f"{self._prefix}:{kind}:{tenant_id}:{row_id}"
        found = await self._get(key)
        if found is not None and self._writes.are_all_in(found.video_id, found.snapshot):
            self._counted.count(kind, "redis_hit")
            return found
        self._counted.count(kind, "redis_miss")
        ends_at = time.time() + _LIFE_S  # counted from before the reading, however long it or anything else then takes
        document = await read()
        if document is not None:
            await self._set(key, document, ends_at)
        return document

    async def close(self) -> None:
        await self._client.aclose()
        await self._source.close()

    async def _get(self, key: str) -> Document | None:
        try:
            kept = await self._client.get(key)
        except (RedisError, OSError) as error:
            self._pause(error)
            return None
        if kept is None:
            return None
        video_id, snapshot, text = (kept.decode() if isinstance(kept, bytes) else kept).split("\n", 2)
        return Document(text, snapshot, VideoId(UUID(video_id)))

    async def _set(self, key: str, document: Document, ends_at: float) -> None:
        if self._time_s() < self._away_until:
            return
        kept = f"{document.video_id}\n{document.snapshot}\n{document.text}"
        try:
            await self._client.set(key, kept, pxat=round(ends_at * 1000))
        except (RedisError, OSError) as error:
            self._pause(error)

    def _pause(self, error: Exception) -> None:
        if self._time_s() >= self._away_until:
            _log.warning("cache.redis_away", error=repr(error))
        self._away_until = self._time_s() + _PAUSE_S
