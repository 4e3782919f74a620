"""Detections, models, the caller, and health."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from vidintel.application.ports import CircuitState, DetectionRow, ModelInfo
from vidintel.application.queries import readiness
from vidintel.application.queries.detections import DetectionPage
from vidintel.domain.analysis import JobStatus
from vidintel.domain.detection import BoundingBox
from vidintel.domain.identity import Permission, Principal, Role
from vidintel.presentation.http.schemas.common import Body, Timestamp, Unit

ANSWERING_JOB: Any = Field(description="The job whose results these are. All following pages are of the same job.")
ANSWERING_STATUS: Any = Field(description="The list is complete once this is `succeeded`.")


class BoxBody(Body):
    """Normalised 0..1 in the displayed (rotated) picture; origin top left."""

    x1: Unit
    y1: Unit
    x2: Unit
    y2: Unit

    @classmethod
    def of(cls, box: BoundingBox) -> "BoxBody":
        return cls(x1=box.x1, y1=box.y1, x2=box.x2, y2=box.y2)


class DetectionBody(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "frame": 12,
                    "time_s": 0.48,
                    "captured_at": None,
                    "label": "car",
                    "confidence": 0.91,
                    "box": {"x1": 0.12, "y1": 0.3, "x2": 0.2, "y2": 0.41},
                    "track_id": None,
                    "reused": False,
                }
            ]
        },
    )

    frame: int = Field(description="Index in presentation order, from 0.")
    time_s: float = Field(description="Seconds on the timeline that a player shows.")
    captured_at: Timestamp | None = Field(description="Wall-clock time, if the video has a `captured_at`.")
    label: str
    confidence: Unit
    box: BoxBody
    track_id: int | None
    reused: bool = Field(
        description="Whether the detection was copied from an earlier, similar frame (`reuse_similar`)."
    )

    @classmethod
    def of(cls, row: DetectionRow, captured_at: datetime | None) -> "DetectionBody":
        return cls(
            frame=row.frame,
            time_s=row.time_s,
            captured_at=None if captured_at is None else captured_at + timedelta(seconds=row.time_s),
            label=row.label,
            confidence=row.confidence,
            box=BoxBody.of(row.box),
            track_id=row.track_id,
            reused=row.reused,
        )


class DetectionList(Body):
    job_id: UUID = ANSWERING_JOB
    job_status: JobStatus = ANSWERING_STATUS
    items: list[DetectionBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: DetectionPage) -> "DetectionList":
        return cls(
            job_id=page.job.id,
            job_status=page.job.status,
            items=[DetectionBody.of(row, page.captured_at) for row in page.items],
            next_cursor=page.next_cursor,
        )


class InputSize(Body):
    """Pixels."""

    height: int
    width: int


class ModelBody(Body):
    name: str
    version: str
    runtime: str
    labels: list[str]
    input_size: InputSize
    licence: str
    sha256: str
    description: str

    @classmethod
    def of(cls, model: ModelInfo) -> "ModelBody":
        height, width = model.input_size
        return cls(
            name=model.name,
            version=model.version,
            runtime=model.runtime,
            labels=list(model.labels),
            input_size=InputSize(height=height, width=width),
            licence=model.licence,
            sha256=model.sha256,
            description=model.description,
        )


class ModelList(Body):
    items: list[ModelBody]

    @classmethod
    def of(cls, models: Sequence[ModelInfo]) -> "ModelList":
        return cls(items=[ModelBody.of(model) for model in models])


class Me(Body):
    """The caller and its permissions."""

    user: str
    tenant: str
    role: Role
    permissions: list[Permission]

    @classmethod
    def of(cls, principal: Principal) -> "Me":
        return cls(
            user=str(principal.user_id),
            tenant=str(principal.tenant_id),
            role=principal.role,
            permissions=sorted(principal.permissions),
        )


class Health(Body):
    status: Literal["ok"] = "ok"
    version: str


class ComponentBody(Body):
    ok: bool
    detail: str | None


class Readiness(Body):
    status: Literal["ok", "unavailable", "draining"] = Field(description="`draining`: this process is shutting down.")
    components: dict[str, ComponentBody]
    circuits: dict[str, CircuitState] = Field(description="State of the circuit breaker of each network dependency.")

    @classmethod
    def of(cls, found: readiness.Readiness, *, is_draining: bool) -> "Readiness":
        components = found.components
        answers = all(component.ok for component in components.values())
        return cls(
            status="draining" if is_draining else "ok" if answers else "unavailable",
            components={name: ComponentBody(ok=part.ok, detail=part.detail) for name, part in components.items()},
            circuits=dict(found.circuits),
        )
