"""Tracked objects, and the time spans of each label."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, Field

from vidintel.application.queries.results import VideoTimeline
from vidintel.application.queries.tracks import TrackPage
from vidintel.domain.analysis import JobStatus
from vidintel.domain.tracking import Track
from vidintel.presentation.http.schemas.answers import ANSWERING_JOB, ANSWERING_STATUS, BoxBody
from vidintel.presentation.http.schemas.common import JOB_ID, VIDEO_ID, Body, Timestamp, Unit

_TRACK_EXAMPLE: dict[str, Any] = {
    "track_id": 7,
    "label": "car",
    "confidence": 0.88,
    "first_seen_s": 4.2,
    "last_seen_s": 9.8,
    "first_seen_at": "2026-05-01T06:00:04.200000Z",
    "last_seen_at": "2026-05-01T06:00:09.800000Z",
    "points": 29,
    "path": [{"time_s": 4.2, "x": 0.02, "y": 0.41}, {"time_s": 9.8, "x": 0.97, "y": 0.44}],
    "best_shot": {"time_s": 7.0, "box": {"x1": 0.45, "y1": 0.36, "x2": 0.55, "y2": 0.5}},
}


class PathPointBody(Body):
    """The centre of the object's box at one time. Interpolate linearly in between."""

    time_s: float
    x: Unit
    y: Unit


class BestShotBody(Body):
    """The time and box at which the object is best visible."""

    time_s: float
    box: BoxBody


class TrackBody(Body):
    """One object, from its first to its last detection."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_TRACK_EXAMPLE]})

    track_id: int = Field(
        description="From 1, in order of first appearance. Numbers are missing for objects whose confidence never "
        "reached `min_confidence`."
    )
    label: str = Field(description="The label with the highest sum of confidences.")
    confidence: Unit = Field(description="The mean confidence of the detections with that label.")
    first_seen_s: float
    last_seen_s: float
    first_seen_at: Timestamp | None = Field(description="Wall-clock time, if the video has a `captured_at`.")
    last_seen_at: Timestamp | None
    points: int = Field(description="The number of its detections, including those below `min_confidence`.")
    path: list[PathPointBody]
    best_shot: BestShotBody

    @classmethod
    def of(cls, track: Track, captured_at: datetime | None) -> "TrackBody":
        shot = track.best_shot
        return cls(
            track_id=track.track_id,
            label=track.label,
            confidence=track.confidence,
            first_seen_s=track.first_seen_s,
            last_seen_s=track.last_seen_s,
            first_seen_at=_at(captured_at, track.first_seen_s),
            last_seen_at=_at(captured_at, track.last_seen_s),
            points=track.points,
            path=[PathPointBody(time_s=each.time_s, x=each.at.x, y=each.at.y) for each in track.path],
            best_shot=BestShotBody(time_s=shot.time_s, box=BoxBody.of(shot.box)),
        )


class TrackList(Body):
    job_id: UUID = ANSWERING_JOB
    job_status: JobStatus = ANSWERING_STATUS
    items: list[TrackBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: TrackPage) -> "TrackList":
        return cls(
            job_id=page.job.id,
            job_status=page.job.status,
            items=[TrackBody.of(track, page.captured_at) for track in page.items],
            next_cursor=page.next_cursor,
        )


class SpanBody(Body):
    """A time span in seconds. Start and end are equal for a single frame."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    start_s: float
    end_s: float


class TimelineBody(Body):
    """The time spans in which each label was visible, with gaps up to `join_gap_s` seconds joined, and shot changes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "video_id": VIDEO_ID,
                    "job_id": JOB_ID,
                    "captured_at": None,
                    "join_gap_s": 1.0,
                    "labels": {"car": [{"start_s": 0.0, "end_s": 4.2}, {"start_s": 9.6, "end_s": 20.0}]},
                    "shot_changes": [9.6],
                    "shot_change_method": "hsv_histogram",
                }
            ]
        },
    )

    video_id: UUID
    job_id: UUID
    captured_at: Timestamp | None = Field(description="The wall-clock time at second 0, if known.")
    join_gap_s: float
    labels: dict[str, list[SpanBody]]
    shot_changes: list[float] = Field(
        description="The seconds at which another shot begins, accurate to one analysed frame."
    )
    shot_change_method: str

    @classmethod
    def of(cls, answer: VideoTimeline) -> "TimelineBody":
        timeline = answer.timeline
        return cls(
            video_id=answer.job.video_id,
            job_id=answer.job.id,
            captured_at=answer.captured_at,
            join_gap_s=timeline.join_gap_s,
            labels={
                label: [SpanBody.model_validate(span) for span in spans] for label, spans in timeline.labels.items()
            },
            shot_changes=list(timeline.shot_changes),
            shot_change_method=timeline.shot_change_method,
        )


def _at(captured_at: datetime | None, time_s: float) -> datetime | None:
    return None if captured_at is None else captured_at + timedelta(seconds=time_s)
