"""Time, and what wakes and feeds the workers."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from vidintel.domain.analysis import JobStage
from vidintel.domain.identity import TenantId


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class DueWork:
    """Something the dispatcher has to ring for: a stage of a job, or (``analyse``) one segment."""

    stage: JobStage
    id: UUID
    tenant_id: TenantId


class WorkNotifications(Protocol):
    """The other end of `UnitOfWork.notify_work`."""

    def listening(self) -> AbstractAsyncContextManager["WorkNotifications"]: ...

    async def wait(self, timeout_s: float) -> None:
        """Return at the next ring, or after ``timeout_s``; rings that came since the last wait count."""
        ...


class TaskQueue(Protocol):
    """Hands work to the task engine. A message carries an id only; losing or doubling it changes nothing."""

    async def backlog(self) -> int:
        """How many messages lie before this worker: those that it handles, and those that wait to be taken up."""
        ...

    async def enqueue(self, work: DueWork) -> None: ...
