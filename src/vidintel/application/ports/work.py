"""The clock, work notifications and the task queue."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vidintel.domain.identity import TenantId
from vidintel.domain.work import WorkItemId


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class DueWork:
    """An item that the dispatcher hands out."""

    id: WorkItemId
    kind: str
    tenant_id: TenantId


class WorkNotifications(Protocol):
    """The receiving end of `UnitOfWork.notify_work`."""

    def listening(self) -> AbstractAsyncContextManager["WorkNotifications"]: ...

    async def wait(self, timeout_s: float) -> None:
        """Return at the next notification or after ``timeout_s``; at once if one came since the last call."""
        ...


class TaskQueue(Protocol):
    """Sends work to the task engine. A message carries only an id; lost and duplicate messages do no harm."""

    @property
    def capacity(self) -> int:
        """The backlog that keeps all threads of this worker busy without waiting for the dispatcher, in messages."""
        ...

    async def backlog(self) -> int:
        """How many messages this worker has: those that it handles, and those that wait."""
        ...

    async def enqueue(self, work: Sequence[DueWork]) -> None: ...
