"""Jobs: their spec, progress and outcome."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import ConfigDict, Field, StrictBool

from vidintel.application.jobs.requests import JobPage
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.ports import JobProgress, JobReport
from vidintel.domain.analysis import MAX_SAMPLE_FPS, AnalysisJob, AnalysisSpec, JobStage, JobStatus
from vidintel.domain.geometry import MAX_LINES, MAX_ZONES
from vidintel.presentation.http.schemas.common import (
    JOB_ID,
    SHA256,
    VIDEO_ID,
    Body,
    ErrorBody,
    ModelRefBody,
    Timestamp,
    Unit,
)
from vidintel.presentation.http.schemas.geometry import LineBody, ShareNumber, StrictNumber, ZoneBody

_SHAPES = 100  # limits the work on an absurd request
_Rate: TypeAlias = Annotated[StrictNumber, Field(json_schema_extra={"exclusiveMinimum": 0, "maximum": MAX_SAMPLE_FPS})]

JOB_EXAMPLE: dict[str, Any] = {
    "id": JOB_ID,
    "video_id": VIDEO_ID,
    "status": "running",
    "stage": "analyse",
    "spec": {
        "model": "traffic-yolov8n",
        "sample_fps": 5.0,
        "labels": None,
        "min_confidence": 0.25,
        "iou_threshold": 0.7,
        "track_confidence": 0.6,
        "lines": [{"name": "stop line", "start": {"x": 0.1, "y": 0.6}, "end": {"x": 0.9, "y": 0.6}}],
        "zones": [],
        "reuse_similar": False,
    },
    "model": {"name": "traffic-yolov8n", "version": "1", "sha256": SHA256},
    "progress": {
        "segments_total": 2,
        "segments_done": 1,
        "frames_total": 60,
        "frames_done": 45,
        "ratio": 0.75,
        "frames_per_second": 30.0,
        "eta_s": 0.5,
    },
    "error": None,
    "created_at": "2026-05-01T08:00:00Z",
    "started_at": "2026-05-01T08:00:01Z",
    "finished_at": None,
}


class SpecBody(Body):
    """How to analyse the video. Fields that are left out get the server's defaults."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "sample_fps": 5,
                    "labels": ["car"],
                    "min_confidence": 0.4,
                    "lines": [{"name": "stop line", "start": {"x": 0.1, "y": 0.6}, "end": {"x": 0.9, "y": 0.6}}],
                    "zones": [
                        {
                            "name": "crossing",
                            "points": [{"x": 0.4, "y": 0.4}, {"x": 0.6, "y": 0.4}, {"x": 0.5, "y": 0.7}],
                        }
                    ],
                }
            ]
        },
    )

    model: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="The name of a model in GET /api/v1/models."
    )
    sample_fps: _Rate | Literal["native"] | None = Field(
        None, description="Frames to analyse per second of video, above 0 and at most 240; or 'native' for every frame."
    )
    labels: list[Annotated[str, Field(max_length=200)]] | None = Field(
        None, description="The labels to report. By default all labels of the model."
    )
    min_confidence: ShareNumber | None = Field(None, description="The lowest confidence that is reported, 0..1.")
    iou_threshold: ShareNumber | None = Field(
        None, description="The IoU threshold of the non-maximum suppression, 0..1."
    )
    track_confidence: ShareNumber | None = Field(
        None,
        description="0..1: an object counts only if one of its detections reaches this confidence. Default: per model.",
    )
    lines: list[LineBody] = Field(
        [],
        max_length=_SHAPES,
        json_schema_extra={"maxItems": MAX_LINES},
        description=f"Lines whose crossings are counted, by direction; at most {MAX_LINES}.",
    )
    zones: list[ZoneBody] = Field(
        [],
        max_length=_SHAPES,
        json_schema_extra={"maxItems": MAX_ZONES},
        description=f"Zones whose occupancy and dwell time are measured; at most {MAX_ZONES}.",
    )
    reuse_similar: StrictBool = Field(
        False,
        description="Copy the detections of the last analysed frame to frames that look like it, marked `reused`. This "
        "is faster where nothing moves for a while; docs/accuracy.md says what it costs.",
    )

    def request(self) -> SpecRequest:
        """Raises `ValidationError` for an invalid line or zone."""
        return SpecRequest(
            model=self.model,
            sample_fps=self.sample_fps,
            labels=None if self.labels is None else tuple(self.labels),
            min_confidence=self.min_confidence,
            iou_threshold=self.iou_threshold,
            track_confidence=self.track_confidence,
            lines=tuple(each.line(f"spec.lines.{place}") for place, each in enumerate(self.lines)),
            zones=tuple(each.zone(f"spec.zones.{place}") for place, each in enumerate(self.zones)),
            reuse_similar=self.reuse_similar,
        )


class SpecAnswer(Body):
    """The spec of the job, with every default filled in."""

    model: str
    sample_fps: float | Literal["native"]
    labels: list[str] | None
    min_confidence: Unit
    iou_threshold: Unit
    track_confidence: Unit
    lines: list[LineBody]
    zones: list[ZoneBody]
    reuse_similar: bool

    @classmethod
    def of(cls, spec: AnalysisSpec) -> "SpecAnswer":
        return cls(
            model=spec.model,
            sample_fps="native" if spec.sample_fps is None else spec.sample_fps,
            labels=None if spec.labels is None else list(spec.labels),
            min_confidence=spec.min_confidence,
            iou_threshold=spec.iou_threshold,
            track_confidence=spec.track_confidence,
            lines=[LineBody.of(line) for line in spec.lines],
            zones=[ZoneBody.of(zone) for zone in spec.zones],
            reuse_similar=spec.reuse_similar,
        )


class ProgressBody(Body):
    """The progress of a job. Frames are analysed frames. The totals are 0 until the job is planned."""

    segments_total: int
    segments_done: int
    frames_total: int
    frames_done: int
    ratio: Unit
    frames_per_second: float | None = Field(description="Since the job started; null while unknown.")
    eta_s: float | None = Field(description="Remaining seconds; null while unknown, and when the job does not run.")

    @classmethod
    def of(cls, job: AnalysisJob, progress: JobProgress, now: datetime) -> "ProgressBody":
        speed = _frames_per_second(job, progress, now)
        remaining = max(0, progress.frames_total - progress.frames_done)
        return cls(
            segments_total=progress.segments_total,
            segments_done=progress.segments_done,
            frames_total=progress.frames_total,
            frames_done=progress.frames_done,
            ratio=_ratio(job, progress),
            frames_per_second=None if speed is None else round(speed, 2),
            eta_s=round(remaining / speed, 1) if speed and job.status is JobStatus.RUNNING else None,
        )


class JobBody(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [JOB_EXAMPLE]})

    id: UUID
    video_id: UUID
    status: JobStatus
    stage: JobStage
    spec: SpecAnswer
    model: ModelRefBody
    progress: ProgressBody | None = Field(description="null in lists. Read the job itself for its progress.")
    error: ErrorBody | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None

    @classmethod
    def of(cls, job: AnalysisJob, progress: ProgressBody | None = None) -> "JobBody":
        return cls(
            id=job.id,
            video_id=job.video_id,
            status=job.status,
            stage=job.stage,
            spec=SpecAnswer.of(job.spec),
            model=ModelRefBody.of(job.model),
            progress=progress,
            error=ErrorBody.of(job.failure),
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )

    @classmethod
    def of_report(cls, report: JobReport, now: datetime) -> "JobBody":
        return cls.of(report.job, ProgressBody.of(report.job, report.progress, now))


class JobList(Body):
    items: list[JobBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: JobPage) -> "JobList":
        return cls(items=[JobBody.of(job) for job in page.items], next_cursor=page.next_cursor)


def _ratio(job: AnalysisJob, progress: JobProgress) -> float:
    if job.status is JobStatus.SUCCEEDED:
        return 1.0
    return min(1.0, progress.frames_done / progress.frames_total) if progress.frames_total else 0.0


def _frames_per_second(job: AnalysisJob, progress: JobProgress, now: datetime) -> float | None:
    if job.started_at is None or not progress.frames_done:
        return None
    elapsed = ((job.finished_at or now) - job.started_at).total_seconds()
    return progress.frames_done / elapsed if elapsed > 0 else None
