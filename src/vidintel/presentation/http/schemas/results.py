"""``/videos/{id}/results``: the results of a job, by kind. `vidintel.domain.analytics` defines the counts.

Times are seconds on the timeline that a player shows.
"""

from uuid import UUID

from pydantic import ConfigDict, Field

from vidintel.application.queries.results import VideoResults
from vidintel.presentation.http.schemas.common import JOB_ID, SHA256, VIDEO_ID, Body, ModelRefBody
from vidintel.presentation.http.schemas.tracks import SpanBody


class ResultPart(Body):
    """Part of a result, as `vidintel.domain.results` has it. Clients must expect later versions to add fields."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)


class PeakBody(ResultPart):
    """The largest number in one frame, and the first frame with that number."""

    count: int
    time_s: float
    frame: int


class LabelSummaryBody(ResultPart):
    """Counts of one label."""

    unique_tracks: int = Field(description="Number of objects: tracks that are at least as long as `minimum_track`.")
    detections: int = Field(description="Number of reported detections.")
    frames: int = Field(description="Number of analysed frames with at least one detection.")
    peak_concurrent: PeakBody
    first_seen_s: float
    last_seen_s: float


class LineCountBody(ResultPart):
    """How often objects of a label crossed a line of the spec. `forward` is from its left to its right."""

    line: str
    label: str
    forward: int
    backward: int


class ZoneUseBody(ResultPart):
    """The use of a zone of the spec by one label. The dwell time of a track is the sum of its visits."""

    zone: str
    label: str
    tracks: int = Field(description="Number of objects that were inside at some time.")
    peak: int = Field(description="The largest number of objects inside at once.")
    peak_at_s: float
    occupied: list[SpanBody] = Field(description="The time spans with at least one object inside.")
    dwell_total_s: float
    dwell_mean_s: float
    dwell_max_s: float


class MinimumTrackBody(ResultPart):
    """The shortest track that counts: seconds from first to last detection, and number of detections."""

    seconds: float
    points: int


class WarningBody(ResultPart):
    """A problem of the video that did not prevent its analysis. Problems with the same code are combined."""

    code: str
    detail: str = Field(description="The detail of the first one.")
    count: int
    first_at_s: float | None


class SummaryBody(ResultPart):
    """Counts over the whole video."""

    frames_analysed: int
    frames_reused: int = Field(
        description="How many of these got the detections of an earlier frame (`reuse_similar`)."
    )
    detections: int
    unique_tracks: int
    busiest: PeakBody | None = Field(description="Of all labels together; null if there is no detection.")
    labels: dict[str, LabelSummaryBody]
    line_crossings: list[LineCountBody]
    zones: list[ZoneUseBody]
    minimum_track: MinimumTrackBody
    metrics: list[str] = Field(description="The names of the counts in this summary.")
    warnings: list[WarningBody]


class TimelineResult(ResultPart):
    """The time spans in which each label was visible, with gaps up to `join_gap_s` seconds joined, and shot changes."""

    join_gap_s: float
    labels: dict[str, list[SpanBody]]
    shot_changes: list[float]
    shot_change_method: str


class EvidenceBody(ResultPart):
    """The pictures that exist."""

    poster_s: float | None = Field(description="The time of `/poster.jpg`; null if there is none.")
    preview_s: list[float] = Field(description="The times of the frames in `/preview.jpg`.")
    shots: list[int] = Field(description="The ids of the tracks with a `shot.jpg`.")


class ResultsByKind(ResultPart):
    summary: SummaryBody
    timeline: TimelineResult | None = None
    evidence: EvidenceBody | None = None


class ResultsBody(Body):
    """The results of a job by kind, and the model that it ran."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "video_id": VIDEO_ID,
                    "job_id": JOB_ID,
                    "model": {"name": "traffic-yolov8n", "version": "3.1.0", "sha256": SHA256},
                    "results": {
                        "summary": {
                            "frames_analysed": 100,
                            "frames_reused": 0,
                            "detections": 143,
                            "unique_tracks": 3,
                            "busiest": {"count": 2, "time_s": 4.2, "frame": 105},
                            "labels": {
                                "car": {
                                    "unique_tracks": 3,
                                    "detections": 143,
                                    "frames": 96,
                                    "peak_concurrent": {"count": 2, "time_s": 4.2, "frame": 105},
                                    "first_seen_s": 0.0,
                                    "last_seen_s": 19.8,
                                }
                            },
                            "line_crossings": [{"line": "gate", "label": "car", "forward": 2, "backward": 1}],
                            "zones": [
                                {
                                    "zone": "kerb",
                                    "label": "car",
                                    "tracks": 1,
                                    "peak": 1,
                                    "peak_at_s": 7.4,
                                    "occupied": [{"start_s": 7.4, "end_s": 9.0}],
                                    "dwell_total_s": 1.6,
                                    "dwell_mean_s": 1.6,
                                    "dwell_max_s": 1.6,
                                }
                            ],
                            "minimum_track": {"seconds": 0.5, "points": 2},
                            "metrics": ["detections", "unique_tracks"],
                            "warnings": [
                                {"code": "truncated", "detail": "The file ends early.", "count": 1, "first_at_s": 19.8}
                            ],
                        },
                        "timeline": {
                            "join_gap_s": 1.0,
                            "labels": {"car": [{"start_s": 0.0, "end_s": 19.8}]},
                            "shot_changes": [],
                            "shot_change_method": "hsv_histogram",
                        },
                        "evidence": {"poster_s": 4.2, "preview_s": [1.0, 3.0, 5.0], "shots": [1, 2, 3]},
                    },
                }
            ]
        },
    )

    video_id: UUID
    job_id: UUID
    model: ModelRefBody
    results: ResultsByKind

    @classmethod
    def of(cls, results: VideoResults) -> "ResultsBody":
        job, snapshots = results.job, results.snapshots
        return cls(
            video_id=job.video_id,
            job_id=job.id,
            model=ModelRefBody.of(job.model),
            results=ResultsByKind(
                summary=SummaryBody.model_validate(results.summary),
                timeline=None if results.timeline is None else TimelineResult.model_validate(results.timeline),
                evidence=None if snapshots is None else EvidenceBody.model_validate(snapshots),
            ),
        )
