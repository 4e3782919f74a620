"""The lease under which work runs: heartbeats, progress, and stopping."""

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
"""A heartbeat is cancelled after this many heartbeat intervals, because its connection may not answer any more."""

_log = logging.getLogger(__name__)


class Leaving(Exception):
    """The worker is shutting down, and releases the items that it holds."""


class Stalled(Exception):
    """A thread has stopped making progress. A thread cannot be stopped, so its process has to end."""


class WorkerIdentity:
    """The identity of this worker process (the ``owner`` of its leases), and whether it is shutting down."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._leaving = threading.Event()

    @property
    def is_leaving(self) -> bool:
        return self._leaving.is_set()

    def leave(self) -> None:
        """Safe from any thread. Running items are released at their next frame."""
        self._leaving.set()


class Lease:
    """The lease under which a handler works. All methods except `complete` are safe from any thread."""

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
        """Call often. Raises `LeaseLost` when another worker may hold the item, `Leaving` when this one shuts down."""
        if self._lost.is_set():
            raise LeaseLost
        if self._worker.is_leaving:
            raise Leaving

    def heartbeat(self) -> None:
        """Like `check`, and shows that the work does not hang, even when no frame was finished."""
        self.check()
        self.heartbeats += 1

    async def complete(self, uow: UnitOfWork) -> None:
        """Complete the item with this transaction. Raises `LeaseLost` when this worker no longer holds the item.

        Call it last: rows of videos, jobs and segments are locked before items.
        """
        if not await uow.work_items.complete(self.item_id, self.token):
            raise LeaseLost
        self.is_completed = True

    def frame_done(self) -> None:
        """Count one more analysed frame."""
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

    When ``extend`` returns ``False``, the lease is lost: the next `Lease.check` in ``work`` raises. A heartbeat that
    raises is retried: the lease is longer than several intervals, and the fencing token guards the write in any case.
    Raises `Stalled`, and stops waiting for ``work``, when `Lease.heartbeat` was not called for ``stall_s`` seconds.
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
            except Exception as error:  # noqa: BLE001 - an outage of the database must not end running work
                _log.warning("lease.heartbeat_failed", extra={"error": repr(error)})
    finally:
        if not task.done() and not stalled:
            # A thread cannot be killed: tell it to stop, and wait for it.
            lease.lose()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # mark it retrieved: the error that ended the wait matters more


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
