"""The events that subscribers receive. To add one, add a member to `EventType` and a factory to `Event`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.identity import TenantId
from vidintel.domain.video import Failure, Video


class EventType(StrEnum):
    VIDEO_UPLOADED = "video.uploaded"
    VIDEO_DELETED = "video.deleted"
    JOB_STARTED = "job.started"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"


_END_OF_JOB = {
    JobStatus.SUCCEEDED: EventType.JOB_SUCCEEDED,
    JobStatus.FAILED: EventType.JOB_FAILED,
    JobStatus.CANCELLED: EventType.JOB_CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about. ``kind`` is ``video`` or ``job``, and the part of the event's type before the dot."""

    kind: str
    id: UUID


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a video or a job of a tenant.

    ``id`` is derived from the subject and from what happened to it, so a repeated delivery has the same id. ``type`` is
    an `EventType`, or a type that only a newer release knows. ``payload`` consists of JSON values; ``version`` counts
    its incompatible changes, from 1. An added field is a compatible change.
    """

    id: UUID
    type: str
    version: int
    tenant_id: TenantId
    subject: Subject
    payload: dict[str, object]
    created_at: datetime

    @classmethod
    def video_uploaded(cls, video: Video, now: datetime) -> "Event":
        """The content of ``video`` is stored."""
        return cls._of_video(EventType.VIDEO_UPLOADED, video, now)

    @classmethod
    def video_deleted(cls, video: Video, now: datetime) -> "Event":
        """``video`` and everything made from it is deleted."""
        return cls._of_video(EventType.VIDEO_DELETED, video, now)

    @classmethod
    def job_started(cls, job: AnalysisJob, now: datetime) -> "Event":
        """A worker started ``job`` for the first time in this run of it."""
        return cls._of_job(EventType.JOB_STARTED, job, f"started/{job.run_number}", now)

    @classmethod
    def job_ended(cls, job: AnalysisJob, now: datetime) -> "Event":
        """This run of ``job`` ended; the job is in a final state. Each run has exactly one such event, of one type."""
        return cls._of_job(_END_OF_JOB[job.status], job, f"ended/{job.run_number}", now)

    @classmethod
    def _of_video(cls, type_: EventType, video: Video, now: datetime) -> "Event":
        return cls(
            id=uuid5(video.id, type_),
            type=type_,
            version=1,
            tenant_id=video.tenant_id,
            subject=Subject("video", video.id),
            payload={"video_id": str(video.id), "title": video.title},
            created_at=now,
        )

    @classmethod
    def _of_job(cls, type_: EventType, job: AnalysisJob, happened: str, now: datetime) -> "Event":
        return cls(
            id=uuid5(job.id, happened),
            type=type_,
            version=1,
            tenant_id=job.tenant_id,
            subject=Subject("job", job.id),
            payload={
                "job_id": str(job.id),
                "video_id": str(job.video_id),
                "run_number": job.run_number,
                "status": job.status.value,
                "failure": _json_of(job.failure),
            },
            created_at=now,
        )


def _json_of(failure: Failure | None) -> dict[str, object] | None:
    return None if failure is None else {"code": failure.code, "detail": failure.detail}
