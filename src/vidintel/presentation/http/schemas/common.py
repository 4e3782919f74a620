"""Parts that several schemas share."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vidintel.domain.analysis import ModelRef
from vidintel.domain.video import Failure

VIDEO_ID = "0b7c2f3e-6a0d-4d0f-9a53-0d3f5f0c9b11"
JOB_ID = "5e3a4b9c-4a63-4c86-8a4e-1b2f6f6e2c77"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Timestamp: TypeAlias = Annotated[datetime, AfterValidator(_in_utc)]
Unit: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class Body(BaseModel):
    """One JSON object of the API. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Body):
    """Why it failed: a stable code for programs, and a sentence for people."""

    code: str
    detail: str

    @classmethod
    def of(cls, failure: Failure | None) -> "ErrorBody | None":
        return None if failure is None else cls(code=failure.code, detail=failure.detail)


class ModelRefBody(Body):
    """The exact model that ran. ``sha256`` is the hash of its weights."""

    name: str
    version: str
    sha256: str

    @classmethod
    def of(cls, model: ModelRef) -> "ModelRefBody":
        return cls(name=model.name, version=model.version, sha256=model.sha256)
