"""Samples of what repositories store, with another value than the default in every field.

They get their values through the methods of the entities. `assert_complete` checks them, so a new field of an entity
fails a contract test until its sample fills it, and then until every repository stores it.
"""

from datetime import timedelta
from uuid import uuid4

from tests.support.factories import (
    FAILURE,
    FULL_SPEC,
    LEASE,
    MEDIA,
    MODEL,
    NOW,
    SHA256,
    TENANT,
    USER,
    WORKER,
    make_span,
)
from vidintel.application.ports import Snapshot
from vidintel.domain.analysis import AnalysisJob, JobId, JobStage
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.geometry import Point
from vidintel.domain.segment import Segment, SegmentId
from vidintel.domain.shots import FrameColours, ShotChanges
from vidintel.domain.tracking import BestShot, PathPoint, Track
from vidintel.domain.video import (
    CameraId,
    MediaWarning,
    SourceKind,
    StoredContent,
    Video,
    VideoId,
    VideoSource,
)
from vidintel.domain.work import Cause, Priority, RetryPolicy, Setback, Work, WorkItem, WorkItemId

_HOUR = timedelta(hours=1)


def full_video() -> Video:
    """A video that an analysis completed and a later one failed on."""
    video = Video.register(
        video_id=VideoId(uuid4()),
        tenant_id=TENANT,
        created_by=USER,
        source=VideoSource(SourceKind.URL, "https://example.org/ä.mp4"),
        now=NOW,
        title="Über die Brücke",
        description="Überfahrt\nmit 🚗",
        captured_at=NOW - _HOUR,
        camera_id=CameraId("Tor 3 🎥"),
        expires_at=NOW + 5 * _HOUR,
    )
    video.attach_content(StoredContent(f"videos/{video.id}/source", 2**33, SHA256), NOW)
    video.begin_processing(NOW)
    video.describe_media(MEDIA, NOW)
    video.complete(JobId(uuid4()), NOW)
    video.begin_processing(NOW)
    video.fail(FAILURE, NOW + _HOUR)
    return video


def full_job(video: Video) -> AnalysisJob:
    """A job that failed again after a retry."""
    job = AnalysisJob.queue(
        job_id=JobId(uuid4()),
        tenant_id=video.tenant_id,
        video_id=video.id,
        created_by=USER,
        spec=FULL_SPEC,
        model=MODEL,
        now=NOW,
    )
    job.fail(FAILURE, NOW)
    job.retry()
    job.begin(JobStage.PLAN, NOW + _HOUR)
    job.planned()
    job.fail(FAILURE, NOW + 2 * _HOUR)
    return job


def full_segments(job: AnalysisJob) -> tuple[Segment, Segment]:
    """One that is done and one that is dead: no state has both results and a failure."""
    done, dead = (
        Segment.cut(
            segment_id=SegmentId(uuid4()),
            job=job,
            span=make_span(index),
            warnings=[MediaWarning("truncated", "The file ends early.", 36.5)],
        )
        for index in (3, 5)
    )
    shots = ShotChanges(FrameColours(30.25, (11, 12)), FrameColours(39.5, (13, 14)), (1 / 3, 33.0))
    done.complete(
        19, warnings=[MediaWarning("corrupt_frames", "3 frames are broken.", 31.5)], shots=shots, frames_reused=7
    )
    dead.dead_letter(FAILURE)
    return done, dead


def full_item() -> WorkItem:
    """An item that is held after setbacks of every kind."""
    item = WorkItem(
        id=WorkItemId(uuid4()),
        kind="other.kind",
        subject_id=uuid4(),
        group_id=uuid4(),
        tenant_id=TENANT,
        created_at=NOW,
        ordinal=7,
        priority=Priority.BACKGROUND,
        cause=Cause("req-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        _work=Work(due_at=NOW),
    )
    setbacks = (Setback.ERROR, *[Setback.DIED_ALONE] * 2, *[Setback.INTERRUPTED] * 3)
    for setback in setbacks:
        token = item.claim(WORKER, item.work.due_at, LEASE)
        assert item.set_back(token, setback, item.work.due_at, RetryPolicy())
    item.claim(WORKER, item.work.due_at, LEASE)
    return item


def full_track() -> Track:
    return Track(
        track_id=3,
        label="car",
        confidence=0.1 + 2 / 3,
        first_seen_s=1.25,
        last_seen_s=3.5,
        points=12,
        path=(PathPoint(1.5, Point(1 / 7, 1 / 3)), PathPoint(3.25, Point(0.6, 0.7))),
        best_shot=BestShot(30, 2.5, BoundingBox(0.125, 0.25, 0.5, 0.75)),
    )


def full_frame() -> FrameDetections:
    """Boxes and confidences are multiples of powers of two: some databases keep 32 bits of each."""
    seen = Detection("car", 0.875, BoundingBox(0.125, 0.25, 0.5, 0.75), bytes(range(0, 216, 8)))
    return FrameDetections(41, 41 / 30, (seen,), reused=True)


def full_snapshot() -> Snapshot:
    return Snapshot("shot-7", StoredContent("jobs/1/shot-7.jpg", 2**33, SHA256))
