"""Pictures of moments of a video."""

from vidintel.application.ports import FrameRenderer, UnitOfWorkFactory
from vidintel.application.queries.answering import answering_job
from vidintel.application.result import as_result
from vidintel.application.videos.lookup import video_of
from vidintel.domain.analysis import AnalysisSpec, JobId
from vidintel.domain.errors import VideoNotFound
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.tracking import TrackedFrame
from vidintel.domain.video import MediaInfo, VideoId


class RenderFrame:
    """A picture of one moment, on request with the detected boxes drawn on it. For viewers.

    ``time_s`` is seconds on the player's timeline. With boxes, the picture shows the nearest analysed moment, so that
    the boxes match their objects. It has no boxes where nothing was detected.
    Fails with `VideoNotFound`, `JobNotFound`, `FrameNotFound`, `UnreadableVideo`.
    """

    def __init__(self, uow: UnitOfWorkFactory, renderer: FrameRenderer) -> None:
        self._uow = uow
        self._renderer = renderer

    @as_result
    async def __call__(
        self, principal: Principal, video_id: VideoId, time_s: float, boxes: bool, job_id: JobId | None
    ) -> bytes:
        principal.require(Permission.VIDEO_READ)
        seen: TrackedFrame | None = None
        shown_s = time_s
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
            if video.content is None:
                raise VideoNotFound(video_id)
            if boxes:
                job = await answering_job(uow, video, job_id)
                nearest = await uow.detections.at(
                    principal.tenant_id, job.id, time_s, min_confidence=job.spec.min_confidence
                )
                rate = video.media.frame_rate if video.media is not None else 0.0
                sample = job.spec.sample_at(time_s, rate)
                if nearest is not None and job.spec.sample_at(nearest.frame.time_s, rate) == sample:
                    seen, shown_s = nearest, nearest.frame.time_s
                elif video.media is not None:
                    shown_s = _moment_of(job.spec, sample, video.media, time_s)
        return await self._renderer.jpeg(video.content.key, shown_s, seen)


def _moment_of(spec: AnalysisSpec, sample: int, media: MediaInfo, time_s: float) -> float:
    """A moment at which a player shows the analysed frame ``sample``; ``time_s`` when every frame was analysed."""
    interval_s = spec.frame_interval_s(media.frame_rate)
    half_frame_s = 0.5 / media.frame_rate if media.frame_rate else 0.0
    if interval_s < 3 * half_frame_s:
        return time_s
    moment_s = sample * interval_s + half_frame_s  # the analysed frame nearest to it may come a little later
    return moment_s if moment_s <= media.duration_s else time_s
