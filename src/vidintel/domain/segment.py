"""The cuts of a video, which are the unit of work and of retry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType
from uuid import UUID

from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import InvalidTransition
from vidintel.domain.identity import TenantId
from vidintel.domain.shots import ShotChanges
from vidintel.domain.video import Failure, MediaWarning

SegmentId = NewType("SegmentId", UUID)

WARNINGS_MAX = 20
"""How many warnings a segment keeps, so that a file broken all over stays small."""


class SegmentStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    DEAD = "dead"


SEGMENT_TRANSITIONS: Mapping[SegmentStatus, frozenset[SegmentStatus]] = {
    SegmentStatus.PENDING: frozenset({SegmentStatus.DONE, SegmentStatus.DEAD}),
    SegmentStatus.DONE: frozenset(),
    SegmentStatus.DEAD: frozenset({SegmentStatus.PENDING}),
}


@dataclass(frozen=True, slots=True)
class SegmentSpan:
    """A cut of the video: the frames with ``start_s <= time < end_s`` (seconds; ``end_s`` ``None`` for the last one).

    ``first_frame`` is the index, in the whole video, of the first frame in it. ``frame_count`` says how many frames
    it holds, ``sample_count`` how many of them are to be analysed. It is not ``seekable`` when the video's timestamps
    do not lead to it: such a cut has to be read from the video's beginning.
    """

    index: int
    start_s: float
    end_s: float | None
    first_frame: int
    frame_count: int
    sample_count: int
    seekable: bool = True


@dataclass(eq=False, kw_only=True, slots=True)
class Segment:
    """The unit of work and of retry: one cut of the video of one job. Its work item says who works on it."""

    id: SegmentId
    job_id: JobId
    tenant_id: TenantId
    span: SegmentSpan
    _status: SegmentStatus = SegmentStatus.PENDING
    _frames_done: int = 0
    _frames_reused: int = 0
    _failure: Failure | None = None
    _warnings: tuple[MediaWarning, ...] = ()
    _shots: ShotChanges | None = None

    @classmethod
    def cut(
        cls,
        *,
        segment_id: SegmentId,
        job: AnalysisJob,
        span: SegmentSpan,
        warnings: Sequence[MediaWarning] = (),
    ) -> "Segment":
        """``warnings`` are those about the video as a whole; the first segment keeps them."""
        return cls(
            id=segment_id,
            job_id=job.id,
            tenant_id=job.tenant_id,
            span=span,
            _warnings=tuple(warnings[:WARNINGS_MAX]),
        )

    @property
    def status(self) -> SegmentStatus:
        return self._status

    @property
    def frames_done(self) -> int:
        """How many frames of it have been analysed so far; what counts is only known once it is done."""
        return self._frames_done

    @property
    def frames_reused(self) -> int:
        """How many of the frames done got the detections of one that looks alike; known once it is done."""
        return self._frames_reused

    @property
    def failure(self) -> Failure | None:
        """Why the last attempt ended badly."""
        return self._failure

    @property
    def warnings(self) -> tuple[MediaWarning, ...]:
        """What was wrong with the video here; at most `WARNINGS_MAX`."""
        return self._warnings

    @property
    def shots(self) -> ShotChanges | None:
        """Where shots begin in it; ``None`` until it is done, and when none of its frames was analysed."""
        return self._shots

    def complete(
        self,
        frames: int,
        *,
        warnings: Sequence[MediaWarning] = (),
        shots: ShotChanges | None = None,
        frames_reused: int = 0,
    ) -> None:
        self._move_to(SegmentStatus.DONE)
        self._frames_done = frames
        self._frames_reused = frames_reused
        self._warnings = (*self._warnings, *warnings)[:WARNINGS_MAX]
        self._shots = shots
        self._failure = None

    def dead_letter(self, failure: Failure) -> None:
        """``pending`` → ``dead``: trying again cannot help, or was tried often enough."""
        self._move_to(SegmentStatus.DEAD)
        self._failure = failure

    def requeue(self) -> None:
        """A person asked to retry the job: ``dead`` → ``pending``."""
        self._move_to(SegmentStatus.PENDING)
        self._failure = None
        self._frames_done = 0

    def _move_to(self, target: SegmentStatus) -> None:
        if target not in SEGMENT_TRANSITIONS[self._status]:
            raise InvalidTransition("segment", self._status, target)
        self._status = target
