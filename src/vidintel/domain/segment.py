"""Segments: the parts of a video that are analysed, and retried, one by one."""

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
"""How many warnings a segment keeps. The limit bounds the size of the row for a badly damaged file."""


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
    """A part of the video: the frames with ``start_s <= time < end_s`` (seconds; ``end_s`` ``None`` for the last one).

    ``first_frame`` is the index, in the whole video, of its first frame. ``frame_count`` is the number of its frames,
    ``sample_count`` the number of those to analyse. It is not ``seekable`` when seeking by timestamp does not reach
    it: a decoder then has to read the video from its beginning.
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
    """One part of the video of one job: the unit of work and of retry. Its work item holds the lease."""

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
        """``warnings`` are about the video as a whole; the first segment keeps them."""
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
        """How many of its frames have been analysed so far. The exact number is known once the segment is done."""
        return self._frames_done

    @property
    def frames_reused(self) -> int:
        """How many analysed frames took over the detections of a similar frame. Known once the segment is done."""
        return self._frames_reused

    @property
    def failure(self) -> Failure | None:
        """Why the last attempt failed."""
        return self._failure

    @property
    def warnings(self) -> tuple[MediaWarning, ...]:
        """What was wrong with the video here; at most `WARNINGS_MAX`."""
        return self._warnings

    @property
    def shots(self) -> ShotChanges | None:
        """Where shots begin in the segment; ``None`` until it is done, and when none of its frames was analysed."""
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
        """``pending`` → ``dead``: a retry cannot help, or the retries are used up."""
        self._move_to(SegmentStatus.DEAD)
        self._failure = failure

    def requeue(self) -> None:
        """A client retries the job: ``dead`` → ``pending``."""
        self._move_to(SegmentStatus.PENDING)
        self._failure = None
        self._frames_done = 0

    def _move_to(self, target: SegmentStatus) -> None:
        if target not in SEGMENT_TRANSITIONS[self._status]:
            raise InvalidTransition("segment", self._status, target)
        self._status = target
