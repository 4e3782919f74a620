"""The work items of a job: one for planning, one for each segment, one for finishing."""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid5

from vidintel.application.ports import UnitOfWork
from vidintel.domain.analysis import AnalysisJob, JobId, JobStage
from vidintel.domain.errors import LeaseLost
from vidintel.domain.segment import Segment
from vidintel.domain.video import Video
from vidintel.domain.work import WorkItem, WorkItemId

PLAN, SEGMENT, FINISH = "analysis.plan", "analysis.segment", "analysis.finish"
_KINDS = {JobStage.PLAN: PLAN, JobStage.FINISH: FINISH}


async def add_stage(uow: UnitOfWork, job: AnalysisJob, now: datetime) -> None:
    """Add the work item for the job's current stage, which is planning or finishing."""
    kind = _KINDS[job.stage]
    item = WorkItem.schedule(
        item_id=WorkItemId(uuid5(job.id, kind)),
        kind=kind,
        subject_id=job.id,
        group_id=job.id,
        tenant_id=job.tenant_id,
        created_at=job.created_at,
        ordinal=-1,
        due_at=now,
    )
    await uow.work_items.add_all([item])
    await uow.notify_work()


async def add_segments(uow: UnitOfWork, job: AnalysisJob, segments: Sequence[Segment], now: datetime) -> None:
    """Add a work item for each of ``segments``."""
    items = [
        WorkItem.schedule(
            item_id=WorkItemId(uuid5(segment.id, SEGMENT)),
            kind=SEGMENT,
            subject_id=segment.id,
            group_id=job.id,
            tenant_id=job.tenant_id,
            created_at=job.created_at,
            ordinal=segment.span.index,
            due_at=now,
        )
        for segment in segments
    ]
    await uow.work_items.add_all(items)
    await uow.notify_work()


async def lock_video_and_job(uow: UnitOfWork, item: WorkItem) -> tuple[Video, AnalysisJob]:
    """Lock the video and the job of ``item``, in that order. Raises `LeaseLost` when they are deleted."""
    job_id = JobId(item.group_id)
    video = await uow.videos.of_job_for_update(item.tenant_id, job_id)
    job = await uow.jobs.get_for_update(item.tenant_id, job_id)
    if video is None or job is None:
        raise LeaseLost("The job was deleted.")
    return video, job
