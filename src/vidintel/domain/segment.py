"""The cuts of a video, which are the unit of work and of retry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import InvalidTransition, LeaseLost
from vidintel.domain.identity import TenantId
from vidintel.domain.shots import ShotChanges
from vidintel.domain.video import Failure, MediaWarning
from vidintel.domain.work import RetryPolicy, Work

SegmentId = NewType("SegmentId", UUID)

WARNINGS_MAX = 20


class SegmentStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


SEGMENT_TRANSITIONS: Mapping[SegmentStatus, frozenset[SegmentStatus]] = {
    SegmentStatus.PENDING: frozenset({SegmentStatus.RUNNING}),
    SegmentStatus.RUNNING: frozenset({SegmentStatus.DONE, SegmentStatus.PENDING, SegmentStatus.DEAD}),
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
    """The unit of work and of retry: one cut of the video of one job."""

    id: SegmentId
    job_id: JobId
    tenant_id: TenantId
    span: SegmentSpan
    _work: Work
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
        now: datetime,
        warnings: Sequence[MediaWarning] = (),
    ) -> "Segment":
        """``warnings`` are those about the video as a whole; the first segment keeps them."""
        return cls(
            id=segment_id,
            job_id=job.id,
            tenant_id=job.tenant_id,
            span=span,
            _work=Work(due_at=now),
            _warnings=tuple(warnings[:WARNINGS_MAX]),
        )

    @property
    def status(self) -> SegmentStatus:
        return self._status

    @property
    def work(self) -> Work:
        return self._work

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

    def claim(self, owner: str, now: datetime, lease: timedelta) -> int:
        """``pending`` → ``running``; returns the fencing token. Raises `LeaseLost` when it is not waiting."""
        if self._status is not SegmentStatus.PENDING:
            raise LeaseLost("This segment is not waiting to be done.")
        self._work = self._work.claimed(owner, now, lease)
        self._move_to(SegmentStatus.RUNNING)
        self._frames_done = 0
        return self._work.token

    def complete(
        self,
        token: int,
        frames: int,
        now: datetime,
        warnings: Sequence[MediaWarning] = (),
        shots: ShotChanges | None = None,
        frames_reused: int = 0,
    ) -> None:
        self._work.require(token)
        self._move_to(SegmentStatus.DONE)
        self._frames_done = frames
        self._frames_reused = frames_reused
        self._warnings = (*self._warnings, *warnings)[:WARNINGS_MAX]
        self._shots = shots
        self._failure = None
        self._work = self._work.freed(now)

    def release(self, token: int, due_at: datetime) -> None:
        """Back to ``pending`` without using up an attempt: the worker is leaving, or what it needs is down."""
        self._work.require(token)
        self._move_to(SegmentStatus.PENDING)
        self._frames_done = 0
        self._work = self._work.released(due_at)

    def retry_later(self, token: int, failure: Failure, now: datetime, policy: RetryPolicy) -> bool:
        """Free it after a passing fault; ``False`` when the attempts are used up: it is ``dead`` then."""
        self._work.require(token)
        return self._free_for_retry(failure, now, policy)

    def expire(self, failure: Failure, now: datetime, policy: RetryPolicy, *, gone: str | None = None) -> bool:
        """Free it after its lease ran out, or its owner is known to be ``gone``.

        ``False`` when the attempts are used up: it is ``dead`` then. Raises `LeaseLost` when the lease is good.
        """
        self._work.require_expired(now, gone)
        return self._free_for_retry(failure, now, policy)

    def revoke(self, now: datetime) -> None:
        """The job was cancelled or failed: whoever runs this segment can write no more."""
        self._move_to(SegmentStatus.PENDING)
        self._frames_done = 0
        self._work = self._work.renewed(now)

    def dead_letter(self, token: int, failure: Failure, now: datetime) -> None:
        """``running`` → ``dead``: trying again cannot help."""
        self._work.require(token)
        self._die(failure, now)

    def requeue(self, now: datetime) -> None:
        """A person asked to retry the job: ``dead`` → ``pending`` with its attempts forgotten."""
        self._move_to(SegmentStatus.PENDING)
        self._failure = None
        self._work = self._work.renewed(now)

    def _free_for_retry(self, failure: Failure, now: datetime, policy: RetryPolicy) -> bool:
        if policy.exhausted(self._work.attempts):
            self._die(failure, now)
            return False
        self._move_to(SegmentStatus.PENDING)
        self._failure = failure
        self._frames_done = 0
        self._work = self._work.freed(now + policy.delay(self._work.attempts))
        return True

    def _die(self, failure: Failure, now: datetime) -> None:
        self._move_to(SegmentStatus.DEAD)
        self._failure = failure
        self._work = self._work.freed(now)

    def _move_to(self, target: SegmentStatus) -> None:
        if target not in SEGMENT_TRANSITIONS[self._status]:
            raise InvalidTransition("segment", self._status, target)
        self._status = target
