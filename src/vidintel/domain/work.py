"""Background work: items, leases, attempts and back-off.

An item is *due* at ``due_at``. Dispatching an item moves ``due_at`` a little ahead. A claim sets it to the end of the
lease, and each heartbeat extends the lease. A retry sets it to the end of the back-off. So one query finds all items
that need attention: those whose message was lost, whose lease expired, or whose retry is due.

An item has three separate budgets. *Attempts* count errors of the work itself. *Deaths* count how often a process died
that ran only this item. *Interruptions* count every other end of a process that held the item: a crash caused by other
work in the process, a SIGKILL, a lost machine. An interrupted item is a suspect, and runs alone from then on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, NewType
from uuid import UUID

from vidintel.domain.errors import AttemptsExhausted, LeaseLost, ValidationError, WorkInterrupted
from vidintel.domain.identity import TenantId

WorkItemId = NewType("WorkItemId", UUID)

SYSTEM_TENANT = TenantId("vidintel:system")
"""The tenant of work that belongs to no client. No identity provider issues such an id."""


class Priority(IntEnum):
    """Priorities of one tenant's work: the lower value is dispatched first."""

    INTERACTIVE = 0
    NORMAL = 1
    BACKGROUND = 2


class Setback(StrEnum):
    """Why running work has to be done again."""

    ERROR = "error"
    DIED_ALONE = "died_alone"
    INTERRUPTED = "interrupted"


_COUNTERS: Mapping[Setback, str] = {
    Setback.ERROR: "attempts",
    Setback.DIED_ALONE: "deaths",
    Setback.INTERRUPTED: "interruptions",
}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often work may fail before it is given up. After setback n it waits ``base_s * 2**(n-1)``, at most ``cap_s``.

    ``max_attempts`` bounds errors, ``max_deaths`` deaths of a process that ran only this item, and
    ``max_interruptions`` all other deaths.
    """

    max_attempts: int = 3
    base_s: float = 1.0
    cap_s: float = 60.0
    max_deaths: int = 3
    max_interruptions: int = 100

    def __post_init__(self) -> None:
        if min(self.max_attempts, self.max_deaths, self.max_interruptions) < 1:
            raise ValidationError("A retry policy allows at least one attempt, death and interruption.")
        if self.base_s < 0 or self.cap_s < self.base_s:
            raise ValidationError("A retry policy needs 0 <= base_s <= cap_s.")

    def delay(self, setbacks: int) -> timedelta:
        """How long to wait after setback number ``setbacks`` (from 1)."""
        return timedelta(seconds=min(self.cap_s, self.base_s * 2.0 ** min(setbacks - 1, 32)))

    def budget(self, setback: Setback) -> int:
        budget: int = getattr(self, f"max_{_COUNTERS[setback]}")
        return budget


@dataclass(frozen=True, slots=True)
class Work:
    """The lease on an item: its holder (``owner``), its fencing ``token``, when it is due, and its setbacks so far.

    The token grows with every claim and every revocation. A write with an older token fails with `LeaseLost`.
    """

    due_at: datetime
    token: int = 0
    owner: str | None = None
    attempts: int = 0
    deaths: int = 0
    interruptions: int = 0

    @property
    def is_held(self) -> bool:
        return self.owner is not None

    @property
    def is_suspect(self) -> bool:
        """A process died while it ran this item. The item may be the cause, so it runs alone until it is done."""
        return self.deaths + self.interruptions > 0

    def has_expired(self, now: datetime) -> bool:
        """Whether the item is held under an expired lease."""
        return self.is_held and self.due_at <= now

    def claimed(self, owner: str, now: datetime, lease: timedelta) -> "Work":
        """Claimed by ``owner`` until ``now + lease``. Raises `LeaseLost` while another lease is valid."""
        if self.is_held and not self.has_expired(now):
            raise LeaseLost
        return replace(self, due_at=now + lease, token=self.token + 1, owner=owner)

    def freed(self, due_at: datetime) -> "Work":
        """Without a holder; the last holder can no longer write."""
        return replace(self, due_at=due_at, token=self.token + 1, owner=None)

    def require(self, token: int) -> None:
        """Raise `LeaseLost` unless ``token`` is the current holder's."""
        if not self.is_held or self.token != token:
            raise LeaseLost

    def set_back(self, setback: Setback, now: datetime, policy: RetryPolicy) -> "Work | None":
        """Released until the end of the back-off; ``None`` when the budget of this kind of setback is used up."""
        counter = _COUNTERS[setback]
        count: int = getattr(self, counter) + 1
        if count >= policy.budget(setback):
            return None
        # An interruption is no evidence against the item, so it is retried without a wait.
        delay = timedelta(0) if setback is Setback.INTERRUPTED else policy.delay(count)
        counted: dict[str, Any] = {counter: count}
        return replace(self.freed(now + delay), **counted)


EXHAUSTED: Mapping[Setback, tuple[str, str]] = {
    Setback.ERROR: (
        AttemptsExhausted.code,
        "The work failed for an unexpected reason at every attempt. The operator finds the details in the log.",
    ),
    Setback.DIED_ALONE: (
        AttemptsExhausted.code,
        "The worker process died each time it tried this part alone. The file may be damaged; try a re-encoded copy.",
    ),
    Setback.INTERRUPTED: (
        WorkInterrupted.code,
        "Worker processes were stopped too often while they worked on this. The file is not at fault; retry the job.",
    ),
}
"""The code and the message of a failure, by the budget that was used up."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of a piece of work: the id of the request, and its trace context (W3C ``traceparent``)."""

    request_id: str | None = None
    traceparent: str | None = None


@dataclass(eq=False, kw_only=True, slots=True)
class WorkItem:
    """One piece of background work that is not done yet.

    ``kind`` names its handler; the part before the dot is its family. ``subject_id`` is the id of what the work is
    about. ``group_id`` is the id of what the work is part of: cancelling a group removes its items. Within a tenant and
    family, items are ordered by priority, then ``created_at``, ``group_id`` and ``ordinal``.
    """

    id: WorkItemId
    kind: str
    subject_id: UUID
    group_id: UUID
    tenant_id: TenantId
    created_at: datetime
    ordinal: int = 0
    priority: Priority = Priority.NORMAL
    cause: Cause = field(default_factory=Cause)
    _work: Work

    @classmethod
    def schedule(
        cls,
        *,
        item_id: WorkItemId,
        kind: str,
        subject_id: UUID,
        group_id: UUID,
        tenant_id: TenantId,
        created_at: datetime,
        due_at: datetime,
        ordinal: int = 0,
        priority: Priority = Priority.NORMAL,
        cause: Cause | None = None,
    ) -> "WorkItem":
        """A new item, which nobody holds and which is due at ``due_at``."""
        return cls(
            id=item_id,
            kind=kind,
            subject_id=subject_id,
            group_id=group_id,
            tenant_id=tenant_id,
            created_at=created_at,
            ordinal=ordinal,
            priority=priority,
            cause=cause or Cause(),
            _work=Work(due_at=due_at),
        )

    @property
    def family(self) -> str:
        return self.kind.partition(".")[0]

    @property
    def work(self) -> Work:
        return self._work

    def claim(self, owner: str, now: datetime, lease: timedelta) -> int:
        """Claim the item; returns the fencing token. Raises `LeaseLost` while another worker's lease is valid."""
        self._work = self._work.claimed(owner, now, lease)
        return self._work.token

    def reserve(self, until: datetime) -> None:
        """Do not dispatch it before ``until``. Raises `LeaseLost` while it is held."""
        if self._work.is_held:
            raise LeaseLost
        self._work = self._work.freed(until)

    def release(self, token: int, due_at: datetime) -> None:
        """Release it without counting a setback: the worker shuts down, or a service that the work needs is down."""
        self._work.require(token)
        self._work = self._work.freed(due_at)

    def succeed(self, token: int, due_at: datetime) -> None:
        """Recurring work was done and is due again at ``due_at``. Its setbacks are reset."""
        self._work.require(token)
        self._work = Work(due_at=due_at, token=self._work.token + 1)

    def set_back(self, token: int, setback: Setback, now: datetime, policy: RetryPolicy) -> bool:
        """Release it for a retry; ``False``, without a change, when its budget is used up."""
        self._work.require(token)
        after = self._work.set_back(setback, now, policy)
        if after is not None:
            self._work = after
        return after is not None
