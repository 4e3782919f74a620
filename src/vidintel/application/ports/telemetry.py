"""Metrics and traces. Metrics carry no names or ids of clients."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Protocol

from vidintel.domain.analysis import JobStatus


class WorkOutcome(StrEnum):
    """How one attempt at a work item ended."""

    DONE = "done"
    RETRIED = "retried"
    FAILED = "failed"
    RELEASED = "released"
    LOST = "lost"


class Telemetry(Protocol):
    """Records metrics. Calls are cheap, never raise, and are safe from any thread. Durations are seconds."""

    def work_ended(self, kind: str, outcome: WorkOutcome) -> None:
        """An attempt at a work item ended."""
        ...

    def job_ended(self, status: JobStatus) -> None:
        """A job succeeded or failed."""
        ...

    def frame_analysed(self) -> None: ...

    def frame_inferred(self, duration_s: float) -> None:
        """The model has processed one frame."""
        ...

    def decode_fault(self, code: str) -> None:
        """A video has a fault: the code of a warning, or of the error that ended its analysis."""
        ...

    def lease_expired(self, kind: str) -> None:
        """An item was reclaimed from a worker that had died or stopped its heartbeats."""
        ...

    def task_ended(self, task: str, outcome: str, duration_s: float) -> None:
        """A worker has handled a message; ``task`` is the kind of the item. Both come from small fixed sets."""
        ...

    def settings_reloaded(self, *, accepted: bool) -> None:
        """The configuration file changed, and was applied or rejected."""
        ...


class Span(Protocol):
    def describe(self, name: str, attributes: Mapping[str, str]) -> None:
        """Rename the span."""
        ...


class Tracing(Protocol):
    """Spans of one trace, from the request to the last segment."""

    def span(self, name: str, *, parent: str | None = None) -> AbstractContextManager[Span]:
        """A span for as long as the block lasts, below ``parent`` (a ``traceparent``) when that is given.

        An exception that leaves the block is noted. Log lines in the block name the trace.
        """
        ...

    def traceparent(self) -> str | None:
        """The ``traceparent`` of the current span, to pass on; ``None`` outside a trace."""
        ...

    def close(self) -> None:
        """Export the finished spans. Nothing is traced afterwards."""
        ...


class SilentTelemetry:
    """Records nothing: for tests, and for commands that end before metrics are scraped."""

    def work_ended(self, kind: str, outcome: WorkOutcome) -> None: ...

    def job_ended(self, status: JobStatus) -> None: ...

    def frame_analysed(self) -> None: ...

    def frame_inferred(self, duration_s: float) -> None: ...

    def decode_fault(self, code: str) -> None: ...

    def lease_expired(self, kind: str) -> None: ...

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
