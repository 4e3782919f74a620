"""Leases, attempts and back-off: how a piece of work is held by one worker at a time.

A piece of work is *due* at ``due_at``. Ringing the task_queue for it moves ``due_at`` a little ahead, claiming it moves
``due_at`` to the end of the lease, a heartbeat extends that, a retry sets it to the end of the back-off. So one rule
finds everything that needs attention: what is not final and whose ``due_at`` has passed, be it a message that was lost,
a lease that ran out or a retry whose time came.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from vidintel.domain.errors import LeaseLost, ValidationError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most ``max_attempts`` claims; the n-th failure waits ``base_s * 2**(n-1)`` seconds, ``cap_s`` at most."""

    max_attempts: int = 3
    base_s: float = 1.0
    cap_s: float = 60.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or self.base_s < 0 or self.cap_s < self.base_s:
            raise ValidationError("A retry policy needs max_attempts >= 1 and 0 <= base_s <= cap_s.")

    def exhausted(self, attempts: int) -> bool:
        return attempts >= self.max_attempts

    def delay(self, attempts: int) -> timedelta:
        """How long to wait after failure number ``attempts`` (from 1)."""
        return timedelta(seconds=min(self.cap_s, self.base_s * 2.0 ** min(attempts - 1, 32)))


@dataclass(frozen=True, slots=True)
class Work:
    """The claim on one piece of work: who holds it (``owner``), its fencing ``token``, and when it is due next.

    The token grows with every claim and every revocation; a write that carries an old one is refused with `LeaseLost`.
    """

    due_at: datetime
    attempts: int = 0
    token: int = 0
    owner: str | None = None

    @property
    def is_held(self) -> bool:
        return self.owner is not None

    def has_expired(self, now: datetime) -> bool:
        """Held by somebody whose lease ran out."""
        return self.is_held and self.due_at <= now

    def claimed(self, owner: str, now: datetime, lease: timedelta) -> "Work":
        """Taken by ``owner`` until ``now + lease``. Raises `LeaseLost` while somebody else's lease is good."""
        if self.is_held and not self.has_expired(now):
            raise LeaseLost
        return replace(self, due_at=now + lease, attempts=self.attempts + 1, token=self.token + 1, owner=owner)

    def freed(self, due_at: datetime) -> "Work":
        """Held by nobody; whoever held it can write no more."""
        return replace(self, due_at=due_at, token=self.token + 1, owner=None)

    def released(self, due_at: datetime) -> "Work":
        """Freed without using up the attempt: the worker is leaving, the work is not at fault."""
        return replace(self.freed(due_at), attempts=max(0, self.attempts - 1))

    def renewed(self, due_at: datetime) -> "Work":
        """Freed with its attempts forgotten: a person asked to try again, or the next stage begins."""
        return replace(self.freed(due_at), attempts=0)

    def require(self, token: int) -> None:
        """Raise `LeaseLost` unless ``token`` is the present holder's."""
        if not self.is_held or self.token != token:
            raise LeaseLost

    def require_expired(self, now: datetime, gone: str | None) -> None:
        """Raise `LeaseLost` unless the lease ran out, or its owner is the one known to be ``gone``."""
        if not (self.has_expired(now) or (self.is_held and self.owner == gone)):
            raise LeaseLost("The lease is still good.")
