"""Time, and what wakes and feeds the workers."""

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
        """Return at the next notification, or after ``timeout_s``; those that came since the last wait count."""
        ...


class TaskQueue(Protocol):
    """Hands work to the task engine. A message carries an id only; losing or doubling it changes nothing."""

    @property
    def capacity(self) -> int:
        """How many messages may lie before this worker, so that none of its threads waits for the dispatcher."""
        ...

    async def backlog(self) -> int:
        """How many messages lie before this worker: those that it handles, and those that wait to be taken up."""
        ...

    async def enqueue(self, work: Sequence[DueWork]) -> None: ...
