"""Factories of entities: each makes one and leads it to the wanted state through the entity's own methods.

A factory lists what a test may choose, and what the entity gets otherwise. Tests call the typed functions:
``make_video(status=VideoStatus.COMPLETED)``, ``make_job(video=video, status=JobStatus.FAILED)``,
``make_segment(job=job, status=SegmentStatus.DONE)``. Times are `NOW` when left out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, Unpack
from uuid import UUID, uuid4

from factory.base import Factory
from factory.declarations import LazyAttribute, LazyFunction, SelfAttribute, SubFactory

from vidintel.application.jobs.work import SEGMENT
from vidintel.domain.analysis import AnalysisJob, AnalysisSpec, JobId, JobStage, JobStatus, ModelRef
from vidintel.domain.analytics import LineCount, MinimumTrack, Peak, Span, ZoneUse
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.geometry import Line, Point, Zone
from vidintel.domain.identity import TenantId, UserId
from vidintel.domain.results import JobResults, JobSnapshots, JobSummary, JobTimeline, LabelResult
from vidintel.domain.segment import Segment, SegmentId, SegmentSpan, SegmentStatus
from vidintel.domain.shots import FrameColours, ShotChanges
from vidintel.domain.tracking import BestShot, PathPoint, Track
from vidintel.domain.video import (
    CameraId,
    Failure,
    MediaInfo,
    MediaWarning,
    SourceKind,
    StoredContent,
    Video,
    VideoId,
    VideoSource,
    VideoStatus,
    WarningSummary,
)
from vidintel.domain.work import Cause, Priority, RetryPolicy, Setback, WorkItem, WorkItemId

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=15)
TENANT = TenantId("org_acme")
USER = UserId("user_ann")
WORKER = "worker-1"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
FAILURE = Failure("unreadable_video", "The video cannot be decoded.")
MODEL = ModelRef("traffic-yolov8n", "1", SHA256)
SPEC = AnalysisSpec(model=MODEL.name)
FULL_SPEC = AnalysisSpec(
    model="m",
    sample_fps=1 / 3,
    labels=("car", "lkw"),
    min_confidence=0.1,
    iou_threshold=1.0,
    track_confidence=0.35,
    lines=(Line("Süd", Point(0.1, 1 / 3), Point(0.9, 0.7)), Line("north", Point(0.0, 0.0), Point(1.0, 0.0))),
    zones=(Zone("kerb", (Point(0.1, 0.1), Point(0.2, 0.1), Point(1 / 7, 0.2))),),
    reuse_similar=True,
)
"""No field has its default."""
SOURCE = VideoSource(SourceKind.UPLOAD, "crossing.mp4")
BOX = BoundingBox(0.125, 0.25, 0.5, 0.75)
MEDIA = MediaInfo("mp4", "h264", 1280, 720, 90, 12.34, 29.97, 370)


RESULTS = JobResults(
    summary=JobSummary(
        frames_analysed=100,
        frames_reused=40,
        detections=143,
        unique_tracks=3,
        busiest=Peak(2, 4.25, 105),
        labels={"car": LabelResult(3, 142, 96, Peak(1, 1 / 3, 8), 0.1, 19.8)},
        line_crossings=(LineCount("Süd", "car", forward=2, backward=1),),
        zones=(ZoneUse("kerb", "car", 1, 4, 7.4, (Span(7.4, 9.0),), 1.6, 0.8, 1.2),),
        minimum_track=MinimumTrack(0.75, 5),
        warnings=(WarningSummary("truncated", "The file ends early.", 1, 19.8),),
        metrics=("detections",),
    ),
    timeline=JobTimeline(1.5, {"car": (Span(0.1, 19.8),)}, (9.6,), "hsv_histogram"),
    snapshots=JobSnapshots(4.25, (1.0, 3.0), (1, 7)),
)
"""A value in every field, none of them its default."""


class VideoFactory(Factory[Video]):
    """Registers a video; what happens to it later happens at ``changed_at``. With ``media=None`` it was never probed.

    ``current_job_id`` is that of the job that completed it.
    """

    class Meta:
        model = Video

    video_id = LazyFunction(lambda: VideoId(uuid4()))
    tenant_id = TENANT
    created_by = USER
    source = SOURCE
    title = None
    description = None
    captured_at = None
    camera_id = None
    created_at = NOW
    expires_at = None
    status = VideoStatus.UPLOADED
    changed_at = SelfAttribute("created_at")
    content = LazyAttribute(lambda fields: StoredContent(f"videos/{fields.video_id}/source", 2**33, SHA256))
    media = MEDIA
    failure = FAILURE
    current_job_id = LazyFunction(lambda: JobId(uuid4()))

    @classmethod
    def _create(cls, model_class: type[Video], *_args: object, **fields: Any) -> Video:
        status, now, content, media, failure, current_job_id = (
            fields.pop(name) for name in ("status", "changed_at", "content", "media", "failure", "current_job_id")
        )
        video = model_class.register(now=fields.pop("created_at"), **fields)
        if status is VideoStatus.PENDING:
            return video
        video.attach_content(content, now)
        if status is VideoStatus.UPLOADED:
            return video
        video.begin_processing(now)
        if media is not None:
            video.describe_media(media, now)
        if status is VideoStatus.COMPLETED:
            video.complete(current_job_id, now)
        elif status is VideoStatus.FAILED:
            video.fail(failure, now)
        return video


class VideoFields(TypedDict, total=False):
    """What a caller of `make_video` may choose."""

    video_id: VideoId
    tenant_id: TenantId
    created_by: UserId
    source: VideoSource
    title: str | None
    description: str | None
    captured_at: datetime | None
    camera_id: CameraId | None
    created_at: datetime
    expires_at: datetime | None
    status: VideoStatus
    changed_at: datetime
    content: StoredContent
    media: MediaInfo | None
    failure: Failure
    current_job_id: JobId


def make_video(**fields: Unpack[VideoFields]) -> Video:
    return VideoFactory.create(**fields)


class JobFactory(Factory[AnalysisJob]):
    """Queues a job of ``video``. ``stage`` says how far it comes; with ``started_at=None`` it never begins.

    Of several ``runs`` all but the last failed and were retried.
    """

    class Meta:
        model = AnalysisJob

    video = SubFactory(VideoFactory)
    job_id = LazyFunction(lambda: JobId(uuid4()))
    created_by = USER
    created_at = NOW
    spec = SPEC
    model = MODEL
    status = JobStatus.QUEUED
    stage = JobStage.ANALYSE
    started_at = SelfAttribute("created_at")
    finished_at = SelfAttribute("created_at")
    failure = FAILURE
    runs = 1

    @classmethod
    def _create(cls, model_class: type[AnalysisJob], *_args: object, **fields: Any) -> AnalysisJob:
        video, status, stage = fields["video"], fields["status"], fields["stage"]
        job = model_class.queue(
            tenant_id=video.tenant_id,
            video_id=video.id,
            now=fields["created_at"],
            **{name: fields[name] for name in ("job_id", "created_by", "spec", "model")},
        )
        for _ in range(fields["runs"] - 1):
            job.fail(fields["failure"], fields["created_at"])
            job.retry()
        if status is not JobStatus.QUEUED and fields["started_at"] is not None:
            _advance(job, JobStage.FINISH if status is JobStatus.SUCCEEDED else stage, fields["started_at"])
        if status is JobStatus.SUCCEEDED:
            job.succeed(fields["finished_at"])
        elif status is JobStatus.FAILED:
            job.fail(fields["failure"], fields["finished_at"])
        elif status is JobStatus.CANCELLED:
            job.cancel(fields["finished_at"])
        return job


def _advance(job: AnalysisJob, stage: JobStage, now: datetime) -> None:
    job.begin(JobStage.PLAN, now)
    if stage is not JobStage.PLAN:
        job.planned()
    if stage is JobStage.FINISH:
        job.all_segments_done()


class JobFields(TypedDict, total=False):
    """What a caller of `make_job` may choose."""

    video: Video
    job_id: JobId
    created_by: UserId
    created_at: datetime
    spec: AnalysisSpec
    model: ModelRef
    status: JobStatus
    stage: JobStage
    started_at: datetime | None
    finished_at: datetime
    failure: Failure
    runs: int


def make_job(**fields: Unpack[JobFields]) -> AnalysisJob:
    return JobFactory.create(**fields)


def make_span(index: int = 0, *, last: bool = False) -> SegmentSpan:
    """Ten seconds at 30 frames a second, two of which each second are to be analysed."""
    return SegmentSpan(
        index=index,
        start_s=index * 10.0,
        end_s=None if last else (index + 1) * 10.0,
        first_frame=index * 300,
        frame_count=300,
        sample_count=20,
        seekable=index % 2 == 0,
    )


class SegmentFactory(Factory[Segment]):
    """Cuts a segment of ``job``. ``cut_warnings`` are about the whole video, ``warnings`` are found in the segment."""

    class Meta:
        model = Segment

    job = SubFactory(JobFactory, status=JobStatus.RUNNING)
    segment_id = LazyFunction(lambda: SegmentId(uuid4()))
    index = 0
    span = LazyAttribute(lambda fields: make_span(fields.index))
    status = SegmentStatus.PENDING
    cut_warnings: Sequence[MediaWarning] = ()
    frames = LazyAttribute(lambda fields: fields.span.sample_count)
    frames_reused = 0
    warnings = LazyAttribute(
        lambda fields: [MediaWarning("corrupt_frames", "3 frames are broken.", fields.span.start_s)]
    )
    shots = LazyAttribute(lambda fields: _shots(fields.index, fields.span.start_s))
    failure = FAILURE

    @classmethod
    def _create(cls, model_class: type[Segment], *_args: object, **fields: Any) -> Segment:
        segment = model_class.cut(
            segment_id=fields["segment_id"], job=fields["job"], span=fields["span"], warnings=fields["cut_warnings"]
        )
        if fields["status"] is SegmentStatus.DONE:
            found = {name: fields[name] for name in ("warnings", "shots", "frames_reused")}
            segment.complete(fields["frames"], **found)
        elif fields["status"] is SegmentStatus.DEAD:
            segment.dead_letter(fields["failure"])
        return segment


def _shots(index: int, start_s: float) -> ShotChanges:
    first, last = (FrameColours(start_s + shift, (3, 0, index)) for shift in (0.0, 1 / 3))
    return ShotChanges(first, last, (start_s + 0.1,))


class SegmentFields(TypedDict, total=False):
    """What a caller of `make_segment` may choose."""

    job: AnalysisJob
    segment_id: SegmentId
    index: int
    span: SegmentSpan
    status: SegmentStatus
    cut_warnings: Sequence[MediaWarning]
    frames: int
    frames_reused: int
    warnings: Sequence[MediaWarning]
    shots: ShotChanges
    failure: Failure


def make_segment(**fields: Unpack[SegmentFields]) -> Segment:
    return SegmentFactory.create(**fields)


class WorkItemFactory(Factory[WorkItem]):
    """Schedules an item that is due since it was made, goes through ``setbacks``, and is then held by ``owner``."""

    class Meta:
        model = WorkItem

    item_id = LazyFunction(lambda: WorkItemId(uuid4()))
    kind = SEGMENT
    subject_id = LazyFunction(uuid4)
    group_id = LazyFunction(uuid4)
    tenant_id = TENANT
    created_at = NOW
    due_at = SelfAttribute("created_at")
    ordinal = 0
    priority = Priority.NORMAL
    cause = Cause()
    setbacks: Sequence[Setback] = ()
    owner: str | None = None

    @classmethod
    def _create(cls, model_class: type[WorkItem], *_args: object, **fields: Any) -> WorkItem:
        setbacks, owner = fields.pop("setbacks"), fields.pop("owner")
        item = model_class.schedule(**fields)
        for setback in setbacks:
            token = item.claim(WORKER, item.work.due_at, LEASE)
            assert item.set_back(token, setback, item.work.due_at, RetryPolicy())
        if owner is not None:
            item.claim(owner, item.work.due_at, LEASE)
        return item


class WorkItemFields(TypedDict, total=False):
    """What a caller of `make_item` may choose."""

    item_id: WorkItemId
    kind: str
    subject_id: UUID
    group_id: UUID
    tenant_id: TenantId
    created_at: datetime
    due_at: datetime
    ordinal: int
    priority: Priority
    cause: Cause
    setbacks: Sequence[Setback]
    owner: str | None


def make_item(**fields: Unpack[WorkItemFields]) -> WorkItem:
    return WorkItemFactory.create(**fields)


def make_detection(
    label: str = "car",
    confidence: float = 0.875,
    box: BoundingBox = BOX,
) -> Detection:
    return Detection(label, confidence, box, appearance=bytes(range(0, 216, 8)))


def make_frame(frame: int, *labels: str) -> FrameDetections:
    """A frame of a video of 30 frames a second, with one detection of each of ``labels`` (one car when left out)."""
    return FrameDetections(frame, frame / 30, tuple(make_detection(label) for label in labels or ("car",)))


def make_track(
    track_id: int, label: str = "car", first_seen_s: float = 1.0, last_seen_s: float = 3.5, *, path: int = 2
) -> Track:
    """A track whose path has ``path`` points."""
    shares = [number / max(1, path - 1) for number in range(path)]
    return Track(
        track_id=track_id,
        label=label,
        confidence=0.1 + 2 / 3,
        first_seen_s=first_seen_s,
        last_seen_s=last_seen_s,
        points=12,
        path=tuple(
            PathPoint(first_seen_s + share * (last_seen_s - first_seen_s), Point(share, 1 / 3)) for share in shares
        ),
        best_shot=BestShot(30, first_seen_s, BOX),
    )
