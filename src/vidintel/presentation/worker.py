"""The worker process: one actor for all kinds of work, the dispatcher that feeds it, and the sweep."""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import structlog

from vidintel.application.events.delivery import DeliverEvents
from vidintel.application.ports import Telemetry, Tracing, WorkNotifications
from vidintel.application.result import Err, Ok, Result
from vidintel.application.work.dispatch import DispatchWork
from vidintel.application.work.isolation import RunAlone
from vidintel.application.work.lease import Leaving, Stalled, WorkerIdentity
from vidintel.application.work.reclaim import ReclaimWork
from vidintel.application.work.recurring import ScheduleRecurringWork
from vidintel.application.work.runner import Claimed, LeaseRunner
from vidintel.domain.errors import DomainError, LeaseLost
from vidintel.domain.work import WorkItem, WorkItemId
from vidintel.settings.model import WorkSettings

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_SPARE_THREADS = 8


class TaskEngine(Protocol):
    """Runs the actor. See `vidintel.infrastructure.tasks`."""

    def declare(self, actor: Callable[[WorkItemId], None], *, answered: Callable[[], None]) -> None:
        """Call it before `start`. ``answered`` is called, on any thread, after each handled message."""
        ...

    def start(self) -> None: ...

    async def stop(self, *, drain_s: float, hurry: Callable[[], None]) -> None:
        """Wait for the running actors. After ``drain_s`` seconds, call ``hurry`` and wait for the rest."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """The dependencies of a worker process. ``die`` ends the process at once. ``memory`` is its size in bytes.

    ``return_memory`` returns free memory to the system. It may take a moment.
    """

    identity: WorkerIdentity
    engine: TaskEngine
    notifications: WorkNotifications
    runner: LeaseRunner
    run_alone: RunAlone
    dispatch: DispatchWork
    reclaim: ReclaimWork
    deliver_events: Sequence[DeliverEvents]
    schedule_recurring: ScheduleRecurringWork
    settings: WorkSettings
    telemetry: Telemetry
    tracing: Tracing
    die: Callable[[], None]
    memory: Callable[[], int | None]
    return_memory: Callable[[], None]


class WorkerProcess:
    """Runs a worker on one event loop; blocking work runs in threads."""

    def __init__(self, services: WorkerServices) -> None:
        self._services = services
        self._more_room = asyncio.Event()
        self._outgrown = asyncio.Event()
        self._dispatched = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # The size of the default pool depends on the number of processors: work that waits for a thread of it would
        # be taken for stalled.
        threads = services.settings.concurrency + _SPARE_THREADS
        self._loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="work"))
        services.engine.declare(self._handle, answered=self._answered)
        self._run = RunMessage(services)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain: finish the running items, or release them.

        A process that has grown too large also stops. It first finishes all running items, however long that takes.
        """
        services = self._services
        # An earlier process with this name is dead, because the supervisor starts one at a time: free its leases.
        await services.reclaim(gone=services.identity.owner)
        await services.schedule_recurring()
        services.engine.start()
        loops = [asyncio.create_task(loop()) for loop in (self._dispatch_loop, self._sweep_loop)]
        loops += [asyncio.create_task(self._deliver_loop(deliver)) for deliver in services.deliver_events]
        concurrency = services.settings.concurrency
        engine = type(services.engine).__name__
        _log.info(
            "worker.ready", owner=services.identity.owner, pid=os.getpid(), concurrency=concurrency, engine=engine
        )
        stopping, outgrown = asyncio.create_task(stop.wait()), asyncio.create_task(self._outgrown.wait())
        try:
            await asyncio.wait({stopping, outgrown, *loops}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for loop in (outgrown, *loops):
                loop.cancel()
            results = await asyncio.gather(*loops, return_exceptions=True)
            await self._drain(stopping)
            stopping.cancel()
        for result in results:
            if isinstance(result, Exception):
                raise result
        _log.info("worker.stopped", owner=services.identity.owner)

    async def _drain(self, stopping: "asyncio.Task[bool]") -> None:
        """Wait for the running items; once ``stopping`` is done, for at most ``drain_s`` seconds."""
        engine, leave = self._services.engine, self._services.identity.leave
        drain_s = self._services.settings.drain_s
        if self._outgrown.is_set() and not stopping.done():
            drained = asyncio.create_task(engine.stop(drain_s=math.inf, hurry=leave))
            await asyncio.wait({drained, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({drained}, timeout=drain_s)
            if not drained.done():
                leave()
            await drained
        else:
            await engine.stop(drain_s=drain_s, hurry=leave)

    async def _dispatch_loop(self) -> None:
        async with self._services.notifications.listening() as notifications:
            while True:
                self._more_room.clear()
                try:
                    await self._services.dispatch()
                except Exception:  # noqa: BLE001 - the dispatcher outlives an outage of the database
                    _log.exception("dispatch.failed")
                    await asyncio.sleep(self._services.settings.poll_s)
                self._dispatched.set()
                self._dispatched = asyncio.Event()
                notified = asyncio.create_task(notifications.wait(self._services.settings.poll_s))
                room = asyncio.create_task(self._more_room.wait())
                try:
                    await asyncio.wait({notified, room}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for waiter in (notified, room):
                        waiter.cancel()
                    # Unlike awaiting each task and suppressing CancelledError, this does not suppress our cancellation.
                    await asyncio.gather(notified, room, return_exceptions=True)

    async def _sweep_loop(self) -> None:
        while True:
            try:
                if await self._services.reclaim():
                    self._more_room.set()
            except Exception:  # noqa: BLE001 - the sweep outlives an outage of the database
                _log.exception("sweep.failed")
            await asyncio.sleep(self._services.settings.sweep_s)

    async def _deliver_loop(self, deliver: DeliverEvents) -> None:
        """Serves one subscriber after each round of the dispatcher, hence at each notification and each poll."""
        while True:
            dispatched = self._dispatched  # taken before, so that no round is missed meanwhile
            try:
                await deliver()
            except Exception:  # noqa: BLE001 - as above
                _log.exception("delivery.crashed")
            await dispatched.wait()

    def _handle(self, work_id: WorkItemId) -> None:
        """Called on an engine's thread: does the work on the event loop."""
        asyncio.run_coroutine_threadsafe(self._do(work_id), self._loop).result()

    async def _do(self, work_id: WorkItemId) -> None:
        if await self._run(work_id) == "stalled":
            # Its thread hangs in native code, and would occupy a place and keep the process alive without end.
            self._services.die()
        else:
            await self._look_at_memory()

    def _answered(self) -> None:
        self._loop.call_soon_threadsafe(self._more_room.set)

    async def _look_at_memory(self) -> None:
        """Called after a piece of work, so that each process does at least one."""
        await asyncio.to_thread(self._services.return_memory)
        limit, taken = self._services.settings.recycle_bytes, self._services.memory()
        if limit is not None and taken is not None and taken > limit and not self._outgrown.is_set():
            _log.warning("worker.outgrown", owner=self._services.identity.owner, bytes=taken, limit=limit)
            self._outgrown.set()


class RunMessage:
    """Runs the item that a message names, within its trace, and writes one log line about it."""

    def __init__(self, services: WorkerServices, *, alone: bool = False) -> None:
        self._services = services
        self._alone = alone

    async def __call__(self, work_id: WorkItemId) -> str:
        """Returns the outcome in one word."""
        started = time.perf_counter()
        result = await self._claim(work_id)
        match result:
            case Ok(Claimed() as claimed):
                item, context = claimed.item, claimed.handler.log_context(claimed.subject)
                perform = self._performing(claimed)
            case Ok(WorkItem() as suspect):
                item, context = suspect, {}
                perform = self._isolating(suspect)
            case Ok(_):
                raise AssertionError("a claim is an item, held or not")
            case Err(error):
                with structlog.contextvars.bound_contextvars(id=str(work_id)):
                    return self._failed(error, started)
        ids = {"task": item.kind, "id": str(item.subject_id), "tenant": str(item.tenant_id), **context}
        if item.cause.request_id is not None:
            ids["request_id"] = item.cause.request_id
        tracing = self._services.tracing
        with (
            structlog.contextvars.bound_contextvars(**ids),
            tracing.span(item.kind, parent=item.cause.traceparent) as span,
        ):
            span.describe(item.kind, {f"vidintel.{name}": value for name, value in ids.items()})
            outcome = await self._outcome(perform, started)
            self._services.telemetry.task_ended(item.kind, outcome, time.perf_counter() - started)
        return outcome

    async def _claim(self, work_id: WorkItemId) -> Result[Claimed | WorkItem]:
        try:
            return await self._services.runner.claim(work_id, alone=self._alone)
        except Exception as error:  # noqa: BLE001 - a message that goes wrong must not end the worker
            _log.exception("task.crashed", id=str(work_id))
            return Err(LeaseLost(f"The claim failed: {type(error).__name__}."))

    def _performing(self, claimed: Claimed) -> Callable[[], Awaitable[Result[object]]]:
        return lambda: self._services.runner.perform(claimed)

    def _isolating(self, suspect: WorkItem) -> Callable[[], Awaitable[Result[object]]]:
        return lambda: self._services.run_alone(suspect)

    async def _outcome(self, perform: Callable[[], Awaitable[Result[object]]], started: float) -> str:
        """Run the item, write its log line, and return the outcome in one word."""
        try:
            result = await perform()
        except Leaving:
            _log.info("task.released")
            return "released"
        except Stalled:
            _log.error("task.stalled")
            return "stalled"
        except Exception:  # noqa: BLE001 - work that goes wrong must not end the worker
            _log.exception("task.crashed")
            return "crashed"
        match result:
            case Ok(value):
                _log.info("task.completed", duration_ms=_since_ms(started), value=value)
                return "completed"
            case Err(error):
                return self._failed(error, started)

    def _failed(self, error: DomainError, started: float) -> str:
        if isinstance(error, LeaseLost):
            _log.info("task.skipped", duration_ms=_since_ms(started), reason=error.detail)
            return "skipped"
        _log.warning("task.failed", duration_ms=_since_ms(started), code=error.code, reason=error.detail)
        return "failed"


def _since_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
