"""How a job ends as failed."""

from datetime import datetime

from vidintel.application.ports import UnitOfWork
from vidintel.domain.analysis import AnalysisJob
from vidintel.domain.events import Event
from vidintel.domain.video import Failure, Video
from vidintel.domain.work import WorkItem


async def fail_job(
    uow: UnitOfWork,
    video: Video,
    job: AnalysisJob,
    failure: Failure,
    now: datetime,
    *,
    reported_by: WorkItem | None = None,
) -> None:
    """End job and video as failed (both rows locked), and cancel all work on them except the item that failed."""
    job.fail(failure, now)
    video.fail(failure, now)
    await uow.work_items.cancel_group(job.id, spare=None if reported_by is None else reported_by.id)
    await uow.jobs.save(job)
    await uow.videos.save(video)
    await uow.outbox.add(Event.job_ended(job, now))
