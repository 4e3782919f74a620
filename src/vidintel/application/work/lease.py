"""The lease under which work is done: heartbeats, progress, and a way to stop."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from vidintel.application.ports import UnitOfWork
from vidintel.domain.errors import LeaseLost, ServiceUnavailable
from vidintel.domain.work import WorkItemId

T = TypeVar("T")

_HEARTBEATS = 3
"""After so many times their distance one heartbeat is given up for the next: its connection may have fallen silent."""

_log = logging.getLogger(__name__)


class Leaving(Exception):
    """The worker is shutting down; it releases whatever it holds."""


class Stalled(Exception):
    """A thread made no progress for so long that it never will. It cannot be stopped: its process has to end."""


class WorkerIdentity:
    """Who this worker process is (``owner`` of its leases), and whether it was told to leave."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._leaving = threading.Event()

    @property
    def is_leaving(self) -> bool:
        return self._leaving.is_set()

    def leave(self) -> None:
        """From any thread: what runs now is released at its next frame."""
        self._leaving.set()


class Lease:
    """What a handler sees of the lease that it works under. All but `complete` is safe to use from any thread."""

    def __init__(self, worker: WorkerIdentity, item_id: WorkItemId, token: int) -> None:
        self._worker = worker
        self._lost = threading.Event()
        self.item_id = item_id
        self.token = token
        self.frames_done = 0
        self.heartbeats = 0
        self.is_completed = False

    def lose(self) -> None:
        self._lost.set()

    def check(self) -> None:
        """Call often. Raises `LeaseLost` when another worker may have the item, `Leaving` when this one must go."""
        if self._lost.is_set():
            raise LeaseLost
        if self._worker.is_leaving:
            raise Leaving

    def heartbeat(self) -> None:
        """As `check`; besides, it shows that the work does not hang, whether or not a frame was finished."""
        self.check()
        self.heartbeats += 1

    async def complete(self, uow: UnitOfWork) -> None:
        """The item is done when this transaction commits. Raises `LeaseLost` when it is not ours any more.

        Call it last: rows of videos, jobs and segments are locked before items.
        """
        if not await uow.work_items.complete(self.item_id, self.token):
            raise LeaseLost
        self.is_completed = True

    def frame_done(self) -> None:
        """One more frame is analysed."""
        self.frames_done += 1


async def run_under_lease(
    lease: Lease,
    work: Coroutine[object, object, T],
    extend: Callable[[], Awaitable[bool]],
    *,
    heartbeat_s: float,
    stall_s: float | None = None,
) -> T:
    """Await ``work``, calling ``extend`` every ``heartbeat_s`` seconds meanwhile.

    When ``extend`` answers ``False`` the lease is lost: ``work`` notices at its next `Lease.check`. A heartbeat that
    raises is tried again: the lease outlives several of them, and the fencing token guards the write in any case.
    Raises `Stalled`, without waiting for ``work`` any longer, when `Lease.heartbeat` was not called for ``stall_s``.
    """
    task = asyncio.create_task(work)
    clock = asyncio.get_running_loop()
    seen, moved_at = lease.heartbeats, clock.time()
    stalled = False
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=heartbeat_s)
            if done:
                return await task
            if lease.heartbeats != seen:
                seen, moved_at = lease.heartbeats, clock.time()
            elif stall_s is not None and clock.time() - moved_at > stall_s:
                stalled = True
                raise Stalled(f"The work made no progress for {stall_s:g} s.")
            try:
                async with asyncio.timeout(_HEARTBEATS * heartbeat_s):
                    is_held = await extend()
                if not is_held:
                    lease.lose()
            except Exception as error:  # noqa: BLE001 - an outage of the database must not kill work under way
                _log.warning("lease.heartbeat_failed", extra={"error": repr(error)})
    finally:
        if not task.done() and not stalled:
            # A thread cannot be killed: it is told to stop, and waited for.
            lease.lose()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # seen: what ends this wait is the news, not how the work took it


async def retry_until(action: Callable[[], Awaitable[None]], *, for_s: float, every_s: float = 1.0) -> None:
    """Await ``action`` again and again while it raises `ServiceUnavailable`, for ``for_s`` seconds at most."""
    clock = asyncio.get_running_loop()
    deadline = clock.time() + for_s
    while True:
        try:
            await action()
        except ServiceUnavailable:
            if clock.time() >= deadline:
                raise
            await asyncio.sleep(every_s)
        else:
            return
