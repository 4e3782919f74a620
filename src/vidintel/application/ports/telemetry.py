"""What is worth counting, told as it happens, without names; and where work belongs, for logs and traces."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID

from vidintel.domain.analysis import JobId, JobStatus
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId


class SegmentOutcome(StrEnum):
    """How one attempt at a segment ended."""

    DONE = "done"
    RETRIED = "retried"
    DEAD = "dead"
    RELEASED = "released"
    LOST = "lost"


class Telemetry(Protocol):
    """Counts what happens. Cheap, never raises; from any thread. Durations are seconds."""

    def segment_ended(self, outcome: SegmentOutcome) -> None: ...

    def job_ended(self, status: JobStatus) -> None:
        """A job succeeded or failed."""
        ...

    def frame_analysed(self) -> None: ...

    def frame_inferred(self, duration_s: float) -> None:
        """The model has looked at one frame."""
        ...

    def decode_fault(self, code: str) -> None:
        """Something is wrong with a video: the code of a warning, or of the error that ended its analysis."""
        ...

    def lease_expired(self, work: Literal["job", "segment"]) -> None: ...

    def task_ended(self, task: str, outcome: str, duration_s: float) -> None:
        """An actor has handled a message; both names come from small fixed sets."""
        ...

    def settings_reloaded(self, *, accepted: bool) -> None:
        """The configuration file changed, and was taken over or refused."""
        ...


@dataclass(frozen=True, slots=True)
class Cause:
    """What made us do it: the id of the request, and its place in a trace (W3C's ``traceparent``)."""

    request_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class WorkContext:
    """Whose work it is and what caused it, for logs and traces."""

    tenant_id: TenantId
    video_id: VideoId
    job_id: JobId
    cause: Cause


class WorkContexts(Protocol):
    async def of(self, work_id: UUID) -> WorkContext | None:
        """The context of a job, or of a segment. Never raises for a database that is down: nothing is known then."""
        ...


class Span(Protocol):
    def describe(self, name: str, attributes: Mapping[str, str]) -> None:
        """Call it by another name, now that more is known."""
        ...


class Tracing(Protocol):
    """Spans of one trace, from the request to the last segment."""

    def span(self, name: str, *, parent: str | None = None) -> AbstractContextManager[Span]:
        """A span for as long as the block lasts, below ``parent`` (a ``traceparent``) when that is given.

        An exception that leaves the block is noted. Log lines in the block name the trace.
        """
        ...

    def traceparent(self) -> str | None:
        """The current span, for handing on; ``None`` outside a trace."""
        ...

    def close(self) -> None:
        """Hand over what is finished. Nothing is traced after that."""
        ...


class SilentTelemetry:
    """Counts nothing: for tests, and for commands that end before anybody could ask."""

    def segment_ended(self, outcome: SegmentOutcome) -> None: ...

    def job_ended(self, status: JobStatus) -> None: ...

    def frame_analysed(self) -> None: ...

    def frame_inferred(self, duration_s: float) -> None: ...

    def decode_fault(self, code: str) -> None: ...

    def lease_expired(self, work: Literal["job", "segment"]) -> None: ...

    def task_ended(self, task: str, outcome: str, duration_s: float) -> None: ...

    def settings_reloaded(self, *, accepted: bool) -> None: ...


class NoTracing:
    """No traces."""

    def span(self, *_: object, **__: object) -> AbstractContextManager[Span]:
        return nullcontext(_NO_SPAN)

    def traceparent(self) -> str | None:
        return None

    def close(self) -> None: ...


class _NoSpan:
    def describe(self, name: str, attributes: Mapping[str, str]) -> None: ...


_NO_SPAN = _NoSpan()
SILENT: Telemetry = SilentTelemetry()
