"""Running a suspect alone: in a process that runs only this item, so that a crash affects no other work."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from vidintel.application.result import as_result
from vidintel.application.work.lease import Leaving, WorkerIdentity
from vidintel.application.work.reclaim import ReclaimWork
from vidintel.domain.work import WorkItem, WorkItemId

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How a process ended: its exit status (negative for a signal), and whether it was stopped from outside."""

    status: int
    was_stopped: bool


class SoloProcess(Protocol):
    """Starts a process that does one item of work and ends."""

    async def run(self, work_id: WorkItemId, owner: str, *, is_leaving: Callable[[], bool]) -> ProcessEnd:
        """Run the item under leases of ``owner``. Once ``is_leaving``, the process is told to release it and to end."""
        ...


class RunAlone:
    """Run a suspect in a process of its own, and record a death when that process dies by itself."""

    def __init__(self, processes: SoloProcess, reclaim: ReclaimWork, worker: WorkerIdentity) -> None:
        self._processes = processes
        self._reclaim = reclaim
        self._worker = worker

    @as_result
    async def __call__(self, item: WorkItem) -> str:
        """Returns how the process ended."""
        owner = f"{self._worker.owner}/{uuid4().hex[:8]}"
        end = await self._processes.run(item.id, owner, is_leaving=lambda: self._worker.is_leaving)
        if self._worker.is_leaving:
            raise Leaving
        if end.status == 0:
            return "done alone"
        _log.error(
            "work.process_died",
            extra={"id": str(item.id), "kind": item.kind, "status": end.status, "stopped": end.was_stopped},
        )
        if end.was_stopped:
            await self._reclaim(gone=owner)
        else:
            await self._reclaim.died_alone(owner)
        return f"died alone with status {end.status}"
