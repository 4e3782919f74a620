"""One analysis of one video: what was asked for, and the job that does it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vidintel.domain.errors import InvalidTransition, LeaseLost, ValidationError
from vidintel.domain.geometry import Line, Zone, validate_lines, validate_zones
from vidintel.domain.identity import TenantId, UserId
from vidintel.domain.video import Failure, VideoId
from vidintel.domain.video import JobId as JobId

MAX_SAMPLE_FPS = 240.0
MAX_LABELS = 100


@dataclass(frozen=True, slots=True)
class AnalysisSpec:
    """What the client asked for.

    ``sample_fps`` is frames analysed per second of video, ``None`` meaning every frame (``native`` on the wire).
    ``labels`` limits what is reported; ``None`` means all that the model knows. ``min_confidence`` and
    ``iou_threshold`` (of the non-maximum suppression) lie in 0..1, as does ``track_confidence``: a track must hold at
    least one detection of that confidence. Objects are counted at ``lines`` and in ``zones``. With ``reuse_similar``,
    a frame that is similar to the last analysed frame takes over the detections of that frame.
    """

    model: str
    sample_fps: float | None = 5.0
    labels: tuple[str, ...] | None = None
    min_confidence: float = 0.25
    iou_threshold: float = 0.7
    track_confidence: float = 0.6
    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    reuse_similar: bool = False

    def __post_init__(self) -> None:
        if not self.model:
            raise ValidationError("A model needs a name.", field="spec.model")
        if self.sample_fps is not None and not (
            math.isfinite(self.sample_fps) and 0 < self.sample_fps <= MAX_SAMPLE_FPS
        ):
            raise ValidationError(
                f"sample_fps is a number above 0 and at most {MAX_SAMPLE_FPS:g}, or 'native'.", field="spec.sample_fps"
            )
        for name in ("min_confidence", "iou_threshold", "track_confidence"):
            value: float = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= 1.0):
                raise ValidationError(f"{name} must lie between 0 and 1; got {value}.", field=f"spec.{name}")
        if self.labels is not None and not 0 < len(self.labels) <= MAX_LABELS:
            raise ValidationError(f"labels must contain 1 to {MAX_LABELS} names, or be left out.", field="spec.labels")
        validate_lines(self.lines)
        validate_zones(self.zones)

    def frame_interval_s(self, frame_rate: float) -> float:
        """The usual time between analysed frames, in seconds, for a video of ``frame_rate`` (0 when unknown)."""
        rates = [rate for rate in (self.sample_fps, frame_rate) if rate]
        return 1.0 / min(rates) if rates else 1.0

    def sample_at(self, time_s: float, frame_rate: float) -> int:
        """The number, counted from 0, of the analysed moment that is nearest to ``time_s``."""
        return math.floor(time_s / self.frame_interval_s(frame_rate) + 0.5)


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in _FINAL_JOB


_FINAL_JOB = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})

JOB_TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


class JobStage(StrEnum):
    """The part of the job that is done next."""

    PLAN = "plan"
    ANALYSE = "analyse"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The exact model that produced a result. ``sha256`` is the checksum of its weights."""

    name: str
    version: str
    sha256: str


@dataclass(eq=False, kw_only=True, slots=True)
class AnalysisJob:
    """One analysis of one video with one spec and one model. Its state changes only through its methods."""

    id: JobId
    tenant_id: TenantId
    video_id: VideoId
    created_by: UserId
    spec: AnalysisSpec
    model: ModelRef
    created_at: datetime
    _status: JobStatus = JobStatus.QUEUED
    _stage: JobStage = JobStage.PLAN
    _started_at: datetime | None = None
    _finished_at: datetime | None = None
    _failure: Failure | None = None
    _run_number: int = 1

    @classmethod
    def queue(
        cls,
        *,
        job_id: JobId,
        tenant_id: TenantId,
        video_id: VideoId,
        created_by: UserId,
        spec: AnalysisSpec,
        model: ModelRef,
        now: datetime,
    ) -> "AnalysisJob":
        return cls(
            id=job_id,
            tenant_id=tenant_id,
            video_id=video_id,
            created_by=created_by,
            spec=spec,
            model=model,
            created_at=now,
        )

    @property
    def status(self) -> JobStatus:
        return self._status

    @property
    def stage(self) -> JobStage:
        return self._stage

    @property
    def started_at(self) -> datetime | None:
        return self._started_at

    @property
    def finished_at(self) -> datetime | None:
        return self._finished_at

    @property
    def failure(self) -> Failure | None:
        return self._failure

    @property
    def run_number(self) -> int:
        """How many times the job was queued. A retry by a client starts the next run; each run ends exactly once."""
        return self._run_number

    def begin(self, stage: JobStage, now: datetime) -> None:
        """Work on ``stage`` begins. Raises `LeaseLost` when the job has ended or is at another stage."""
        if self._stage is not stage or self._status.is_final:
            raise LeaseLost(f"The job does not wait for '{stage}'.")
        if self._status is JobStatus.QUEUED:
            self._move_to(JobStatus.RUNNING)
            self._started_at = self._started_at or now

    def planned(self) -> None:
        """The segments exist: analysing them is the next stage."""
        self._advance(JobStage.PLAN, JobStage.ANALYSE)

    def all_segments_done(self) -> None:
        """The last segment is done: finishing the job is the next stage."""
        self._advance(JobStage.ANALYSE, JobStage.FINISH)

    def succeed(self, now: datetime) -> None:
        if self._stage is not JobStage.FINISH:
            raise InvalidTransition("job", f"{self._status} ({self._stage})", JobStatus.SUCCEEDED)
        self._end(JobStatus.SUCCEEDED, now)

    def fail(self, failure: Failure, now: datetime) -> None:
        self._end(JobStatus.FAILED, now)
        self._failure = failure

    def cancel(self, now: datetime) -> None:
        self._end(JobStatus.CANCELLED, now)

    def retry(self) -> None:
        """A client retries the job: ``failed`` → ``queued``. Segments that are done stay done."""
        self._move_to(JobStatus.QUEUED)
        self._run_number += 1
        self._failure = None
        self._started_at = None
        self._finished_at = None
        self._stage = JobStage.PLAN

    def _advance(self, current: JobStage, target: JobStage) -> None:
        if self._status is not JobStatus.RUNNING or self._stage is not current:
            raise InvalidTransition("job", f"{self._status} ({self._stage})", target)
        self._stage = target

    def _end(self, target: JobStatus, now: datetime) -> None:
        self._move_to(target)
        self._finished_at = now

    def _move_to(self, target: JobStatus) -> None:
        if target not in JOB_TRANSITIONS[self._status]:
            raise InvalidTransition("job", self._status, target)
        self._status = target
