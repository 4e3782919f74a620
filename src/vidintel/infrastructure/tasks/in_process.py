"""The task engine in one process: Dramatiq's in-memory broker and Dramatiq's threads."""

import asyncio
import threading
from collections.abc import Callable, Sequence

from dramatiq import Worker
from dramatiq.brokers.stub import StubBroker

from vidintel.application.ports import DueWork
from vidintel.domain.work import WorkItemId
from vidintel.infrastructure.tasks.actors import QUEUE, Actor, declare, message_for

_HURRY_S, _LONGEST_S = 600.0, 7 * 86_400.0


def stop_ms(drain_s: float) -> int:
    """How long Dramatiq waits for running work: ``drain_s`` and the time to release it, or until it has ended."""
    return round(1000 * min(drain_s + _HURRY_S, _LONGEST_S))


class InProcessTaskEngine:
    """Implements `TaskQueue` and `TaskEngine` within one process, on ``concurrency`` threads."""

    def __init__(self, *, concurrency: int) -> None:
        # Without middleware: retries, time limits and delays all live in the database.
        self._broker = StubBroker(middleware=[])
        self._broker.declare_queue(QUEUE)
        self._worker = Worker(self._broker, worker_threads=concurrency, worker_timeout=100)
        self._lock = threading.Lock()
        self._backlog = 0
        self._concurrency = concurrency

    @property
    def capacity(self) -> int:
        """One message per thread: a message that waits here could not be taken by an idle worker."""
        return self._concurrency

    async def backlog(self) -> int:
        return self._backlog

    async def enqueue(self, work: Sequence[DueWork]) -> None:
        for each in work:
            self._add(1)
            try:
                await asyncio.to_thread(self._broker.enqueue, message_for(each))
            except BaseException:
                self._add(-1)
                raise

    def declare(self, actor: Actor, *, answered: Callable[[], None]) -> None:
        def around(work_id: WorkItemId) -> None:
            try:
                actor(work_id)
            finally:
                self._add(-1)
                answered()

        declare(self._broker, around)

    def start(self) -> None:
        self._worker.start()

    async def stop(self, *, drain_s: float, hurry: Callable[[], None]) -> None:
        stopping = asyncio.create_task(asyncio.to_thread(self._worker.stop, stop_ms(drain_s)))
        _, pending = await asyncio.wait({stopping}, timeout=drain_s)
        if pending:
            hurry()
        await stopping

    def _add(self, change: int) -> None:
        with self._lock:
            self._backlog += change
