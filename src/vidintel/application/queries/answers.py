"""The answers: what was seen and when, results, pictures, models; and whether we are ready."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from vidintel.application.ports import (
    DetectionFilter,
    DetectionRow,
    FrameRenderer,
    Page,
    TrackFilter,
    UnitOfWork,
    UnitOfWorkFactory,
)
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.videos.lookup import video_of
from vidintel.domain.analysis import AnalysisJob, AnalysisSpec, JobId
from vidintel.domain.errors import JobNotFound, ResultNotFound, ValidationError, VideoNotFound
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.results import JobSnapshots, JobSummary, JobTimeline
from vidintel.domain.tracking import Track, TrackedFrame
from vidintel.domain.video import MediaInfo, Video, VideoId


@dataclass(frozen=True, slots=True)
class DetectionPage:
    """``captured_at`` is the wall-clock time of the video's second 0, when the client gave one."""

    job: AnalysisJob
    captured_at: datetime | None
    items: Sequence[DetectionRow]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TrackPage:
    """``captured_at`` is the wall-clock time of the video's second 0, when the client gave one."""

    job: AnalysisJob
    captured_at: datetime | None
    items: Sequence[Track]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class VideoResults:
    """The results of one job: its summary, and the other kinds that it has."""

    job: AnalysisJob
    summary: JobSummary
    timeline: JobTimeline | None
    snapshots: JobSnapshots | None


@dataclass(frozen=True, slots=True)
class VideoTimeline:
    """The ``timeline`` of a job; ``captured_at`` as in `TrackPage`."""

    job: AnalysisJob
    captured_at: datetime | None
    timeline: JobTimeline


class ListDetections:
    """What was seen, frame by frame. For viewers. While a job runs, what its finished segments saw.

    Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`, `ValidationError` for a bad cursor.
    """

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(
        self, principal: Principal, video_id: VideoId, job_id: JobId | None, filter_: DetectionFilter, page: Page
    ) -> DetectionPage:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
            of_job, rest = _resumed(job_id, page)
            job = await answering_job(uow, video, of_job)
            # What is fainter than the job was asked to report is kept for its tracker only.
            at_least = max(filter_.min_confidence or 0.0, job.spec.min_confidence)
            wanted = replace(filter_, min_confidence=at_least)
            items, next_cursor = await uow.detections.list(principal.tenant_id, job.id, wanted, rest)
            return DetectionPage(job, video.captured_at, items, _cursor_of(job, next_cursor))


class ListTracks:
    """The objects of a video, in order of first appearance. For viewers. There are none before the job has succeeded.

    Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`, `ValidationError` for a bad cursor.
    """

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(
        self, principal: Principal, video_id: VideoId, job_id: JobId | None, filter_: TrackFilter, page: Page
    ) -> TrackPage:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
            of_job, rest = _resumed(job_id, page)
            job = await answering_job(uow, video, of_job)
            items, next_cursor = await uow.tracks.list(principal.tenant_id, job.id, filter_, rest)
            return TrackPage(job, video.captured_at, items, _cursor_of(job, next_cursor))


class GetTimeline:
    """When each label was in sight. For viewers. Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(self, principal: Principal, video_id: VideoId, job_id: JobId | None) -> VideoTimeline:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
            job = await answering_job(uow, video, job_id)
            results = await uow.results.of_job(principal.tenant_id, job.id)
            if results.timeline is None:
                raise ResultNotFound("This job has no timeline yet. Ask again when it has succeeded.")
            return VideoTimeline(job, video.captured_at, results.timeline)


class GetResults:
    """The results of a video by kind. For viewers. Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(self, principal: Principal, video_id: VideoId, job_id: JobId | None) -> VideoResults:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
            job = await answering_job(uow, video, job_id)
            results = await uow.results.of_job(principal.tenant_id, job.id)
            if results.summary is None:
                raise ResultNotFound("This job has no results yet. Ask again when it has succeeded.")
            return VideoResults(job, results.summary, results.timeline, results.snapshots)


class RenderFrame:
    """A picture of one moment, with the boxes seen in it when wanted. For viewers.

    ``time_s`` is seconds on the player's timeline. With boxes, it is the picture of the analysed moment nearest to it,
    so that boxes always sit on their objects, and there are none where nothing was seen.
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
    """A moment at which a player shows the frame analysed as ``sample``; ``time_s`` where every frame was analysed."""
    interval_s = spec.frame_interval_s(media.frame_rate)
    half_frame_s = 0.5 / media.frame_rate if media.frame_rate else 0.0
    if interval_s < 3 * half_frame_s:
        return time_s
    moment_s = sample * interval_s + half_frame_s  # the frame nearest to it may come a little later
    return moment_s if moment_s <= media.duration_s else time_s


def _resumed(job_id: JobId | None, page: Page) -> tuple[JobId | None, Page]:
    """A list goes on with the job that its first page was of, whichever has succeeded since: the cursor names it."""
    if page.cursor is None:
        return job_id, page
    named, _, rest = page.cursor.partition(".")
    try:
        of_job = JobId(UUID(hex=named))
    except ValueError:
        raise ValidationError("This cursor is not one that we gave out.", field="cursor") from None
    if job_id not in {None, of_job}:
        raise ValidationError("This cursor is of another job's list.", field="cursor")
    return of_job, replace(page, cursor=rest)


def _cursor_of(job: AnalysisJob, rest: str | None) -> str | None:
    return None if rest is None else f"{job.id.hex}.{rest}"


async def answering_job(uow: UnitOfWork, video: Video, job_id: JobId | None) -> AnalysisJob:
    """The named job of ``video``; else its current job; else, before the first one is published, its newest.

    So a video that is analysed for the first time answers with what its job has found so far. Raises `JobNotFound` for
    another video's job, and `ResultNotFound` for a video without jobs.
    """
    wanted = video.current_job_id if job_id is None else job_id
    if wanted is None:
        newest = await uow.jobs.latest_of_video(video.tenant_id, video.id)
        if newest is None:
            raise ResultNotFound("This video was never analysed. Start a job for it.")
        return newest
    job = await uow.jobs.get(video.tenant_id, wanted)
    if job is None or job.video_id != video.id:
        raise JobNotFound(wanted)
    return job
