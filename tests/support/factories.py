"""Builds entities in any state, the way they get there: through their own methods.

``make_video(status=VideoStatus.COMPLETED)``, ``make_job(video=video, status=JobStatus.FAILED)``,
``make_segment(job=job, status=SegmentStatus.DONE)``. What is left out gets a fitting value; times are `NOW`.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

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
from vidintel.domain.work import Priority, Work, WorkItem, WorkItemId

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


def make_video(
    *,
    status: VideoStatus = VideoStatus.UPLOADED,
    tenant_id: TenantId = TENANT,
    created_by: UserId = USER,
    created_at: datetime = NOW,
    source: VideoSource = SOURCE,
    title: str | None = None,
    description: str | None = None,
    captured_at: datetime | None = None,
    camera_id: CameraId | None = None,
    media: MediaInfo | None = MEDIA,
    video_id: VideoId | None = None,
    expires_at: datetime | None = None,
    current_job_id: JobId | None = None,
) -> Video:
    """A video; with ``media=None`` it was never probed. ``current_job_id`` is that of the job that completed it."""
    video = Video.register(
        video_id=video_id or VideoId(uuid4()),
        tenant_id=tenant_id,
        created_by=created_by,
        source=source,
        now=created_at,
        title=title,
        description=description,
        captured_at=captured_at,
        camera_id=camera_id,
        expires_at=expires_at,
    )
    if status is VideoStatus.PENDING:
        return video
    video.attach_content(StoredContent(f"videos/{video.id}/source", 2**33, SHA256), created_at)
    if status is VideoStatus.UPLOADED:
        return video
    video.begin_processing(created_at)
    if media is not None:
        video.describe_media(media, created_at)
    if status is VideoStatus.COMPLETED:
        video.complete(current_job_id or JobId(uuid4()), created_at)
    elif status is VideoStatus.FAILED:
        video.fail(FAILURE, created_at)
    return video


def make_job(
    *,
    video: Video | None = None,
    status: JobStatus = JobStatus.QUEUED,
    stage: JobStage = JobStage.ANALYSE,
    created_by: UserId = USER,
    created_at: datetime = NOW,
    spec: AnalysisSpec = SPEC,
    model: ModelRef = MODEL,
    job_id: JobId | None = None,
) -> AnalysisJob:
    """A job of ``video``. ``stage`` says how far a running one is."""
    video = video or make_video()
    job = AnalysisJob.queue(
        job_id=job_id or JobId(uuid4()),
        tenant_id=video.tenant_id,
        video_id=video.id,
        created_by=created_by,
        spec=spec,
        model=model,
        now=created_at,
    )
    if status is JobStatus.QUEUED:
        return job
    _advance(job, JobStage.FINISH if status is JobStatus.SUCCEEDED else stage, created_at)
    if status is JobStatus.SUCCEEDED:
        job.succeed(created_at)
    elif status is JobStatus.FAILED:
        job.fail(FAILURE, created_at)
    elif status is JobStatus.CANCELLED:
        job.cancel(created_at)
    return job


def _advance(job: AnalysisJob, stage: JobStage, now: datetime) -> None:
    job.begin(JobStage.PLAN, now)
    if stage is not JobStage.PLAN:
        job.planned()
    if stage is JobStage.FINISH:
        job.all_segments_done()


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


def make_segment(
    *,
    job: AnalysisJob | None = None,
    index: int = 0,
    span: SegmentSpan | None = None,
    status: SegmentStatus = SegmentStatus.PENDING,
    segment_id: SegmentId | None = None,
) -> Segment:
    """A segment of ``job``."""
    segment = Segment.cut(
        segment_id=segment_id or SegmentId(uuid4()),
        job=job or make_job(status=JobStatus.RUNNING),
        span=span or make_span(index),
    )
    if status is SegmentStatus.DONE:
        warnings = [MediaWarning("corrupt_frames", "3 frames are broken.", segment.span.start_s)]
        ends = [FrameColours(segment.span.start_s + shift, (3, 0, index)) for shift in (0.0, 1 / 3)]
        shots = ShotChanges(ends[0], ends[1], (segment.span.start_s + 0.1,))
        segment.complete(segment.span.sample_count, warnings=warnings, shots=shots)
    elif status is SegmentStatus.DEAD:
        segment.dead_letter(FAILURE)
    return segment


def make_item(
    *,
    kind: str = SEGMENT,
    tenant_id: TenantId = TENANT,
    group_id: UUID | None = None,
    subject_id: UUID | None = None,
    created_at: datetime = NOW,
    due_at: datetime | None = None,
    ordinal: int = 0,
    priority: Priority = Priority.NORMAL,
    owner: str | None = None,
) -> WorkItem:
    """An item that is due since it was made; ``owner`` holds it, if anybody."""
    item = WorkItem(
        id=WorkItemId(uuid4()),
        kind=kind,
        subject_id=subject_id or uuid4(),
        group_id=group_id or uuid4(),
        tenant_id=tenant_id,
        created_at=created_at,
        ordinal=ordinal,
        priority=priority,
        _work=Work(due_at=due_at or created_at),
    )
    if owner is not None:
        item.claim(owner, item.work.due_at, LEASE)
    return item


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
