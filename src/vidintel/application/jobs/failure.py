"""How work that ends badly is written down."""

from datetime import datetime

from vidintel.application.ports import UnitOfWork
from vidintel.domain.analysis import AnalysisJob
from vidintel.domain.errors import AttemptsExhausted, BusinessRuleViolation, DomainError, UnsupportedMedia
from vidintel.domain.events import Event
from vidintel.domain.segment import SegmentStatus
from vidintel.domain.video import Failure, Video

PERMANENT = (BusinessRuleViolation, UnsupportedMedia)
"""Errors of the file or of the request: trying again cannot help."""

WORKER_DIED = Failure(
    AttemptsExhausted.code,
    "The worker stopped each time it tried this part of the video. The file may be damaged; try a re-encoded copy.",
)


def passing_failure(error: Exception) -> Failure:
    """Why an attempt ended that may be tried again. The texts of unexpected errors are for our log, not for clients."""
    if isinstance(error, DomainError):
        return Failure.of(error)
    return Failure(
        AttemptsExhausted.code,
        "The analysis failed for an unexpected reason each time it was tried. The operator's log tells more.",
    )


async def fail_job(uow: UnitOfWork, video: Video, job: AnalysisJob, failure: Failure, now: datetime) -> None:
    """End job and video as failed (both rows locked) and take its running segments from their workers."""
    job.fail(failure, now)
    video.fail(failure, now)
    for segment in await uow.segments.of_job(job.id, SegmentStatus.RUNNING):
        segment.revoke(now)
        await uow.segments.save(segment)
    await uow.jobs.save(job)
    await uow.videos.save(video)
    await uow.outbox.add(Event.job_ended(job, now))
