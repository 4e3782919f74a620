"""Samples of what repositories store, with another value than the default in every field.

They get their values through the methods of the entities. `assert_complete` checks them, so a new field of an entity
fails a contract test until its sample fills it, and then until every repository stores it.
"""

from datetime import timedelta

from tests.support.factories import (
    FAILURE,
    FULL_SPEC,
    NOW,
    SHA256,
    WORKER,
    make_item,
    make_job,
    make_segment,
    make_video,
)
from vidintel.application.ports import Snapshot
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.geometry import Point
from vidintel.domain.segment import Segment, SegmentStatus
from vidintel.domain.shots import FrameColours, ShotChanges
from vidintel.domain.tracking import BestShot, PathPoint, Track
from vidintel.domain.video import CameraId, MediaWarning, SourceKind, StoredContent, Video, VideoSource, VideoStatus
from vidintel.domain.work import Cause, Priority, Setback, WorkItem

_HOUR = timedelta(hours=1)


def full_video() -> Video:
    """A video that one analysis completed and a later one failed on."""
    video = make_video(
        source=VideoSource(SourceKind.URL, "https://example.org/ä.mp4"),
        title="Über die Brücke",
        description="Überfahrt\nmit 🚗",
        captured_at=NOW - _HOUR,
        camera_id=CameraId("Tor 3 🎥"),
        expires_at=NOW + 5 * _HOUR,
        status=VideoStatus.COMPLETED,
    )
    video.begin_processing(NOW)
    video.fail(FAILURE, NOW + _HOUR)
    return video


def full_job(video: Video) -> AnalysisJob:
    """A job that failed again after a retry."""
    return make_job(
        video=video,
        spec=FULL_SPEC,
        status=JobStatus.FAILED,
        started_at=NOW + _HOUR,
        finished_at=NOW + 2 * _HOUR,
        runs=2,
    )


def full_segments(job: AnalysisJob) -> tuple[Segment, Segment]:
    """One that is done and one that is dead: no state has both results and a failure."""
    of_the_video = MediaWarning("truncated", "The file ends early.", 36.5)
    done = make_segment(
        job=job,
        index=3,
        status=SegmentStatus.DONE,
        cut_warnings=[of_the_video],
        frames=19,
        frames_reused=7,
        warnings=[MediaWarning("corrupt_frames", "3 frames are broken.", 31.5)],
        shots=ShotChanges(FrameColours(30.25, (11, 12)), FrameColours(39.5, (13, 14)), (1 / 3, 33.0)),
    )
    return done, make_segment(job=job, index=5, status=SegmentStatus.DEAD, cut_warnings=[of_the_video])


def full_item() -> WorkItem:
    """An item that is held after setbacks of every kind."""
    return make_item(
        kind="other.kind",
        ordinal=7,
        priority=Priority.BACKGROUND,
        cause=Cause("req-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        setbacks=(Setback.ERROR, *[Setback.DIED_ALONE] * 2, *[Setback.INTERRUPTED] * 3),
        owner=WORKER,
    )


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
