"""The read side of what clients ask most often: a video or a job, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from vidintel.application.ports.persistence import JobProgress
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.identity import TenantId
from vidintel.domain.video import Video, VideoId


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job, and how far it is. To be shown: who holds the job now, and until when, may be out of date in it."""

    job: AnalysisJob
    progress: JobProgress


@dataclass(frozen=True, slots=True)
class VideoReport:
    """A video and its newest job."""

    video: Video
    job: JobReport | None


class VideoReads(Protocol):
    """Reads outside any transaction, for answers only. What comes back is shared: it must not be changed.

    Raises `ServiceUnavailable` while the database does not answer.
    """

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> VideoReport | None:
        """The tenant's video; ``None`` for another's as well."""
        ...

    async def job(self, tenant_id: TenantId, job_id: JobId) -> JobReport | None:
        """The tenant's job; ``None`` for another's as well."""
        ...


class CacheStatistics(Protocol):
    """How often each cache could answer, since this process began."""

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """By cache (``video``, ``job``, …) and outcome (``local_hit``, ``redis_hit``, ``miss``, …)."""
        ...
