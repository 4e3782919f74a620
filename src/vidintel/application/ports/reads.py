"""The read side of the most frequent requests: a video or a job, with its progress."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from vidintel.application.ports.persistence import JobProgress
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.identity import TenantId
from vidintel.domain.video import Video, VideoId


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job and its progress, for display."""

    job: AnalysisJob
    progress: JobProgress


@dataclass(frozen=True, slots=True)
class VideoReport:
    """A video and its newest job."""

    video: Video
    job: JobReport | None


class VideoReads(Protocol):
    """Reads outside any transaction, for responses only. Callers share the returned objects and must not change them.

    Raises `ServiceUnavailable` while the database does not answer.
    """

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> VideoReport | None:
        """The tenant's video; ``None`` when there is none, or when it belongs to another tenant."""
        ...

    async def job(self, tenant_id: TenantId, job_id: JobId) -> JobReport | None:
        """The tenant's job; ``None`` when there is none, or when it belongs to another tenant."""
        ...


class CacheStatistics(Protocol):
    """Hits and misses of each cache since this process started."""

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """By cache (``video``, ``job``, …) and outcome (``local_hit``, ``redis_hit``, ``miss``, …)."""
        ...
