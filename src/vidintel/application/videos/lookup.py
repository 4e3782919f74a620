"""Finding and removing the caller's video, shared by several use cases."""

from datetime import datetime

from vidintel.application.ports import (
    JobReport,
    UnitOfWork,
)
from vidintel.domain.analysis import AnalysisJob
from vidintel.domain.errors import VideoNotFound
from vidintel.domain.events import Event
from vidintel.domain.identity import Principal
from vidintel.domain.video import Video, VideoId


async def video_of(uow: UnitOfWork, principal: Principal, video_id: VideoId) -> Video:
    """The caller's video. Raises `VideoNotFound`, also for a video of another tenant."""
    video = await uow.videos.get(principal.tenant_id, video_id)
    if video is None:
        raise VideoNotFound(video_id)
    return video


async def locked_video_of(uow: UnitOfWork, principal: Principal, video_id: VideoId) -> Video:
    """Like `video_of`, with the row locked until the transaction ends."""
    video = await uow.videos.get_for_update(principal.tenant_id, video_id)
    if video is None:
        raise VideoNotFound(video_id)
    return video


async def remove_video(uow: UnitOfWork, video: Video, now: datetime) -> None:
    """Remove the rows of ``video``, which is locked, and schedule its objects for deletion."""
    if video.content is not None:
        await uow.object_deletions.schedule(video.content.key, now)
    for key in await uow.snapshots.keys_of_video(video.tenant_id, video.id):
        await uow.object_deletions.schedule(key, now)
    await uow.videos.delete(video.tenant_id, video.id)
    await uow.outbox.add(Event.video_deleted(video, now))
    await uow.notify_work()


async def report_of(uow: UnitOfWork, job: AnalysisJob) -> JobReport:
    return JobReport(job, await uow.jobs.progress(job.tenant_id, job.id))
