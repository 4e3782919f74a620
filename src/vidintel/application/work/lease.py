"""Holding a piece of work while it is done: heartbeats, progress, and a way to stop."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from vidintel.domain.errors import LeaseLost, ServiceUnavailable

T = TypeVar("T")

_HEARTBEATS = 3
"""After so many times their distance one heartbeat is given up for the next: its connection may have fallen silent."""

_log = logging.getLogger(__name__)


class Leaving(Exception):
    """The worker is shutting down; whatever it holds is handed back."""


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
        """From any thread: what runs now is to be handed back at its next frame."""
        self._leaving.set()


class Lease:
    """What the work sees of the lease it is done under. Safe to use from any thread."""

    def __init__(self, worker: WorkerIdentity) -> None:
        self._worker = worker
        self._lost = threading.Event()
        self.frames_done = 0
        self.signs_of_life = 0

    def lose(self) -> None:
        self._lost.set()

    def check(self) -> None:
        """Call often. Raises `LeaseLost` when the work is no longer ours, `Leaving` when the worker must go."""
        if self._lost.is_set():
            raise LeaseLost
        if self._worker.is_leaving:
            raise Leaving

    def heartbeat(self) -> None:
        """As `check`; that it was called also shows that the work does not hang, whether or not a frame got done."""
        self.check()
        self.signs_of_life += 1

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
    signs, moved_at = lease.signs_of_life, clock.time()
    stalled = False
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=heartbeat_s)
            if done:
                return await task
            if lease.signs_of_life != signs:
                signs, moved_at = lease.signs_of_life, clock.time()
            elif stall_s is not None and clock.time() - moved_at > stall_s:
                stalled = True
                raise Stalled(f"There was no sign of life for {stall_s:g} s.")
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
