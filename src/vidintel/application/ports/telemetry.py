"""What is worth counting, told as it happens. Never says whose it was: tenants and ids belong into the log."""

from enum import StrEnum
from typing import Literal, Protocol

from vidintel.domain.analysis import JobStatus


class SegmentOutcome(StrEnum):
    """How one attempt at a segment ended."""

    DONE = "done"
    RETRIED = "retried"
    DEAD = "dead"
    HANDED_BACK = "handed_back"
    LOST = "lost"


class Telemetry(Protocol):
    """Counts what happens. Cheap, never raises; from any thread. Durations are seconds."""

    def segment_ended(self, outcome: SegmentOutcome) -> None: ...

    def job_ended(self, status: JobStatus) -> None:
        """A job came to a final status by the work done here."""
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


SILENT: Telemetry = SilentTelemetry()
