"""The worker process: thin actors that each call one use case, the dispatcher that rings for them, and the sweep."""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog

from vidintel.application.events.delivery import DeliverEvents, RemoveEvents
from vidintel.application.pipeline.finish import FinishJob
from vidintel.application.pipeline.plan import PlanJob
from vidintel.application.pipeline.segment import RunSegment
from vidintel.application.ports import Telemetry, Tracing, WorkContext, WorkContexts, WorkNotifications
from vidintel.application.result import Err, Ok, Result
from vidintel.application.videos.retention import ApplyRetention
from vidintel.application.work.dispatch import DispatchWork
from vidintel.application.work.garbage import CollectGarbage
from vidintel.application.work.lease import Leaving, Stalled, WorkerIdentity
from vidintel.application.work.reclaim import ReclaimWork
from vidintel.domain.analysis import JobId
from vidintel.domain.errors import LeaseLost
from vidintel.domain.segment import SegmentId
from vidintel.settings.model import WorkSettings

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_TIDY_EVERY_SWEEPS = 15
_SPARE_THREADS = 8


class TaskEngine(Protocol):
    """Runs the actors. See `vidintel.infrastructure.tasks`."""

    def declare(self, *actors: Callable[[str], None], answered: Callable[[], None]) -> None:
        """Before `start`. ``answered`` is called, on any thread, whenever a message's handling has ended."""
        ...

    def start(self) -> None: ...

    async def stop(self, *, drain_s: float, hurry: Callable[[], None]) -> None:
        """Let the actors finish what they run; after ``drain_s`` seconds call ``hurry`` and wait for them."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """All that a worker process needs. ``die`` ends the process without ado; ``memory`` is what it takes, in bytes.

    ``return_memory`` gives the system back what is free, and may take a moment.
    """

    identity: WorkerIdentity
    engine: TaskEngine
    notifications: WorkNotifications
    plan_job: PlanJob
    run_segment: RunSegment
    finish_job: FinishJob
    dispatch: DispatchWork
    reclaim: ReclaimWork
    apply_retention: ApplyRetention
    collect_garbage: CollectGarbage
    deliver_events: Sequence[DeliverEvents]
    remove_events: RemoveEvents
    settings: WorkSettings
    telemetry: Telemetry
    tracing: Tracing
    contexts: WorkContexts
    die: Callable[[], None]
    memory: Callable[[], int | None]
    return_memory: Callable[[], None]


class WorkerProcess:
    """Everything that goes on in a worker, on one event loop; blocking work runs in threads."""

    def __init__(self, services: WorkerServices) -> None:
        self._services = services
        self._more_room = asyncio.Event()
        self._outgrown = asyncio.Event()
        self._dispatched = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # The loop's own pool goes by the number of processors: work that waits for a thread of it would seem to stall.
        threads = services.settings.concurrency + _SPARE_THREADS
        self._loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="work"))
        self._declare_actors()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then drain: finish what runs, or hand it back.

        A process that has grown too large also ends: once all that it runs is finished, however long that takes.
        """
        services = self._services
        # Whoever held leases under this name before is dead: its supervisor would not have started us otherwise.
        await services.reclaim(gone=services.identity.owner)
        services.engine.start()
        loops = [
            asyncio.create_task(for_ever())
            for for_ever in (self._dispatch_for_ever, self._sweep_for_ever, self._tidy_for_ever)
        ]
        loops += [asyncio.create_task(self._deliver_for_ever(deliver)) for deliver in services.deliver_events]
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
        """Let what runs be finished; from the moment at which ``stopping`` is done, not for longer than ``drain_s``."""
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

    async def _dispatch_for_ever(self) -> None:
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
                ring = asyncio.create_task(notifications.wait(self._services.settings.poll_s))
                room = asyncio.create_task(self._more_room.wait())
                try:
                    await asyncio.wait({ring, room}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for waiter in (ring, room):
                        waiter.cancel()
                    # Unlike awaiting each and ignoring that it was cancelled, this does not swallow our own end.
                    await asyncio.gather(ring, room, return_exceptions=True)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                if await self._services.reclaim():
                    self._more_room.set()
            except Exception:  # noqa: BLE001 - the sweep outlives an outage of the database
                _log.exception("sweep.failed")
            await asyncio.sleep(self._services.settings.sweep_s)

    async def _deliver_for_ever(self, deliver: DeliverEvents) -> None:
        """Serves one subscriber after each round of the dispatcher, hence at each notification and each poll."""
        while True:
            dispatched = self._dispatched  # taken before, so that no round is missed meanwhile
            try:
                await deliver()
            except Exception:  # noqa: BLE001 - as above
                _log.exception("delivery.crashed")
            await dispatched.wait()

    async def _tidy_for_ever(self) -> None:
        """Apart from the sweep: removing much takes long, and what dead workers held must not wait for it."""
        while True:
            services = self._services
            for tidy in (services.apply_retention, services.collect_garbage, services.remove_events):
                try:
                    await tidy()
                except Exception:  # noqa: BLE001 - as above
                    _log.exception("tidying.failed", of=type(tidy).__name__)
            await asyncio.sleep(_TIDY_EVERY_SWEEPS * self._services.settings.sweep_s)

    def _declare_actors(self) -> None:
        """One actor per kind of work."""
        services = self._services

        def plan_job(job_id: str) -> None:
            self._handle("plan_job", job_id, lambda: services.plan_job(JobId(UUID(job_id))))

        def run_segment(segment_id: str) -> None:
            self._handle("run_segment", segment_id, lambda: services.run_segment(SegmentId(UUID(segment_id))))

        def finish_job(job_id: str) -> None:
            self._handle("finish_job", job_id, lambda: services.finish_job(JobId(UUID(job_id))))

        services.engine.declare(plan_job, run_segment, finish_job, answered=self._answered)

    def _handle(self, task: str, subject: str, use_case: Callable[[], Awaitable[Result[object]]]) -> None:
        """Called on an engine's thread: runs the use case on the event loop and writes the task's one log line."""
        asyncio.run_coroutine_threadsafe(self._run(task, subject, use_case), self._loop).result()

    def _answered(self) -> None:
        self._loop.call_soon_threadsafe(self._more_room.set)

    async def _run(self, task: str, subject: str, use_case: Callable[[], Awaitable[Result[object]]]) -> None:
        context = await self._services.contexts.of(UUID(subject))
        parent = None if context is None else context.cause.traceparent
        ids = _ids(task, subject, context)
        with structlog.contextvars.bound_contextvars(**ids), self._services.tracing.span(task, parent=parent) as span:
            span.describe(task, {f"vidintel.{name}": value for name, value in ids.items()})
            started = time.perf_counter()
            outcome = await self._outcome(use_case, started)
            self._services.telemetry.task_ended(task, outcome, time.perf_counter() - started)
        if outcome == "stalled":
            # Its thread hangs in native code and would keep a place, and the process, for ever.
            self._services.die()
        else:
            await self._look_at_memory()

    async def _look_at_memory(self) -> None:
        """After a piece of work, so that each process does at least one."""
        await asyncio.to_thread(self._services.return_memory)
        limit, taken = self._services.settings.recycle_bytes, self._services.memory()
        if limit is not None and taken is not None and taken > limit and not self._outgrown.is_set():
            _log.warning("worker.outgrown", owner=self._services.identity.owner, bytes=taken, limit=limit)
            self._outgrown.set()

    async def _outcome(self, use_case: Callable[[], Awaitable[Result[object]]], started: float) -> str:
        """Run it, write its one line, and say in a word how it went."""
        try:
            result = await use_case()
        except Leaving:
            _log.info("task.released")
            return "released"
        except Stalled:
            _log.error("task.stalled")
            return "stalled"
        except Exception:  # noqa: BLE001 - work that goes wrong must not end the worker
            _log.exception("task.crashed")
            return "crashed"
        duration_ms = round((time.perf_counter() - started) * 1000, 1)
        match result:
            case Ok(value):
                _log.info("task.completed", duration_ms=duration_ms, value=value)
                return "completed"
            case Err(LeaseLost() as error):
                _log.info("task.skipped", duration_ms=duration_ms, reason=error.detail)
                return "skipped"
            case Err(error):
                _log.warning("task.failed", duration_ms=duration_ms, code=error.code, reason=error.detail)
                return "failed"


def _ids(task: str, subject: str, context: WorkContext | None) -> dict[str, str]:
    """What every line says that is written about this piece of work."""
    ids = {"task": task, "id": subject}
    if context is None:
        return ids
    ids |= {"tenant": str(context.tenant_id), "video": str(context.video_id), "job": str(context.job_id)}
    if subject != ids["job"]:
        ids["segment"] = subject
    if context.cause.request_id is not None:
        ids["request_id"] = context.cause.request_id
    return ids
