"""What the outside is told of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from vidintel.domain.analysis import AnalysisJob, JobId, JobStatus
from vidintel.domain.identity import TenantId


class JobEventKind(StrEnum):
    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"


_KIND_OF = {
    JobStatus.SUCCEEDED: JobEventKind.SUCCEEDED,
    JobStatus.FAILED: JobEventKind.FAILED,
    JobStatus.CANCELLED: JobEventKind.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class JobEvent:
    """That a job came to an end, once for each ``run_number`` of it. ``payload`` can be written as JSON.

    ``id`` follows from job and run_number, so that who hears of it twice can tell.
    """

    id: UUID
    tenant_id: TenantId
    job_id: JobId
    run_number: int
    kind: JobEventKind
    payload: dict[str, object]
    created_at: datetime

    @classmethod
    def ended(cls, job: AnalysisJob, now: datetime) -> "JobEvent":
        """``job`` must have ended."""
        failure = job.failure
        return cls(
            id=uuid5(job.id, f"ended/{job.run_number}"),
            tenant_id=job.tenant_id,
            job_id=job.id,
            run_number=job.run_number,
            kind=_KIND_OF[job.status],
            payload={
                "job_id": str(job.id),
                "video_id": str(job.video_id),
                "status": job.status.value,
                "failure": None if failure is None else {"code": failure.code, "detail": failure.detail},
            },
            created_at=now,
        )
