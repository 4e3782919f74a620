"""`VideoReads` with a cache."""

from vidintel.application.ports import JobReport, VideoReads, VideoReport
from vidintel.domain.analysis import JobId
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.cache.local import LocalCache
from vidintel.infrastructure.cache.statistics import CountedCaches


class CachedVideoReads:
    """Caches the results of ``source`` for at most ``ttl_s`` seconds, and only until their video changes.

    The tenant is part of every key, so a tenant never gets a value that was read for another one.
    """

    def __init__(
        self, source: VideoReads, changes: Changes, counted: CountedCaches, *, entries: int, ttl_s: float
    ) -> None:
        self._source = source
        self._videos: LocalCache[tuple[TenantId, VideoId], VideoReport] = LocalCache(
            "video", changes, counted, video_of=lambda report: report.video.id, entries=entries, ttl_s=ttl_s
        )
        self._jobs: LocalCache[tuple[TenantId, JobId], JobReport] = LocalCache(
            "job", changes, counted, video_of=lambda report: report.job.video_id, entries=entries, ttl_s=ttl_s
        )

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> VideoReport | None:
        return await self._videos.get((tenant_id, video_id), video_id, lambda: self._source.video(tenant_id, video_id))

    async def job(self, tenant_id: TenantId, job_id: JobId) -> JobReport | None:
        return await self._jobs.get((tenant_id, job_id), None, lambda: self._source.job(tenant_id, job_id))
