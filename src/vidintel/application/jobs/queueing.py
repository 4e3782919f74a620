"""Queueing an analysis, and starting it when the content of its video has arrived."""

from datetime import datetime
from uuid import uuid4

from vidintel.application.jobs.work import add_stage
from vidintel.application.ports import JobProgress, JobReport, UnitOfWork
from vidintel.domain.analysis import AnalysisJob, AnalysisSpec, JobId, JobStatus, ModelRef
from vidintel.domain.errors import JobAlreadyActive
from vidintel.domain.identity import UserId
from vidintel.domain.video import Video, VideoStatus

_NO_PROGRESS = JobProgress(segments_total=0, segments_done=0, frames_total=0, frames_done=0)


async def queue_analysis(
    uow: UnitOfWork, video: Video, spec: AnalysisSpec, model: ModelRef, *, created_by: UserId, now: datetime
) -> JobReport:
    """Queue an analysis of ``video``, which this transaction has added or locked.

    While the video is pending, the job keeps the spec and has no work item; `start_analysis` adds one.
    Raises `JobAlreadyActive`, and `ConflictError` when the content never arrived.
    """
    if video.status is VideoStatus.PROCESSING:
        raise JobAlreadyActive
    video.require_content()
    job = AnalysisJob.queue(
        job_id=JobId(uuid4()),
        tenant_id=video.tenant_id,
        video_id=video.id,
        created_by=created_by,
        spec=spec,
        model=model,
        now=now,
    )
    await uow.jobs.add(job)
    if video.content is not None:
        await add_stage(uow, job, now)
    return JobReport(job, _NO_PROGRESS)


async def start_analysis(uow: UnitOfWork, video: Video, now: datetime) -> None:
    """The content of ``video``, which is locked, has arrived: start the job that waits for it, if there is one."""
    newest = await uow.jobs.latest_of_video(video.tenant_id, video.id)
    if newest is None or newest.status is not JobStatus.QUEUED:
        return
    job = await uow.jobs.get_for_update(video.tenant_id, newest.id)
    if job is not None and job.status is JobStatus.QUEUED:
        await add_stage(uow, job, now)
