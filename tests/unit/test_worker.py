"""The worker process, without its task engine."""

import asyncio
import platform
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
import structlog
from prometheus_client import CollectorRegistry

from tests.unit.application.world import World
from vidintel.application.events.delivery import DeliverEvents, DeliveryRules, RemoveEvents
from vidintel.application.ports import SILENT, Cause, NoTracing, WorkContext
from vidintel.application.result import Ok
from vidintel.application.videos.retention import ApplyRetention
from vidintel.application.work.dispatch import DispatchWork
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.events import Event, EventType
from vidintel.domain.retention import RetentionRules
from vidintel.domain.work import RetryPolicy
from vidintel.infrastructure.memory import resident_bytes, return_free_memory
from vidintel.infrastructure.observability.telemetry import PrometheusTelemetry
from vidintel.infrastructure.tasks.in_process import InProcessTaskEngine
from vidintel.presentation.worker import WorkerProcess, WorkerServices
from vidintel.settings.model import WorkSettings


class NoEngine:
    def declare(self, *actors: Callable[[str], None], answered: Callable[[], None]) -> None: ...

    def start(self) -> None: ...

    async def stop(self, *, drain_s: float, hurry: Callable[[], None]) -> None: ...


class SilentBell:
    @asynccontextmanager
    async def listening(self) -> AsyncIterator["SilentBell"]:
        yield self

    async def wait(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)


class NoContexts:
    async def of(self, work_id: UUID) -> WorkContext | None:
        return None


def services_of(world: World, settings: WorkSettings) -> WorkerServices:
    return WorkerServices(
        identity=world.worker,
        engine=NoEngine(),
        notifications=SilentBell(),
        plan_job=world.plan,
        run_segment=world.run,
        finish_job=world.finish,
        dispatch=world.dispatch,
        reclaim=world.reclaim,
        apply_retention=world.apply_retention,
        collect_garbage=world.collect_garbage,
        deliver_events=[],
        remove_events=RemoveEvents(world.database.unit_of_work, world.clock, keep=timedelta(days=7)),
        settings=settings,
        telemetry=SILENT,
        tracing=NoTracing(),
        contexts=NoContexts(),
        die=lambda: None,
        memory=lambda: None,
        return_memory=lambda: None,
    )


async def test_as_many_pieces_of_work_as_configured_get_a_thread_at_once() -> None:
    concurrency = 40  # more than the event loop's own pool has on any machine
    world = World()
    jobs = [(await world.registered()).job.job for _ in range(concurrency)]
    all_here = threading.Barrier(concurrency)

    def meet() -> None:
        all_here.wait(timeout=20)

    world.media.on_plan = meet

    WorkerProcess(services_of(world, WorkSettings(concurrency=concurrency)))

    outcomes = await asyncio.gather(*(world.plan(job.id) for job in jobs))
    assert all(isinstance(outcome, Ok) for outcome in outcomes)


class KnownContexts:
    """Everything belongs to one job, caused by one request."""

    def __init__(self, job: AnalysisJob) -> None:
        self._job = job

    async def of(self, work_id: UUID) -> WorkContext | None:
        return WorkContext(self._job.tenant_id, self._job.video_id, self._job.id, Cause("r-1", None))


class Declared(NoEngine):
    """Keeps the actors, for a test to call as an engine's thread would."""

    def __init__(self) -> None:
        self.actors: dict[str, Callable[[str], None]] = {}

    def declare(self, *actors: Callable[[str], None], answered: Callable[[], None]) -> None:
        self.actors = {actor.__name__: actor for actor in actors}


async def test_every_line_about_a_segment_says_whose_it_is_and_how_it_ended_is_counted() -> None:
    world = World()
    job = await world.planned()
    segment = (await world.segments())[0]
    registry, engine = CollectorRegistry(), Declared()
    services = services_of(world, WorkSettings())
    WorkerProcess(
        replace(services, engine=engine, contexts=KnownContexts(job), telemetry=PrometheusTelemetry(registry))
    )

    def log_a_line(_: int) -> None:
        structlog.get_logger().info("frame.seen")

    world.media.on_frame = log_a_line
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        await asyncio.to_thread(engine.actors["run_segment"], str(segment.id))
        await asyncio.to_thread(engine.actors["run_segment"], str(segment.id))

    assert {line["event"] for line in lines} == {"frame.seen", "task.completed", "task.skipped"}
    for line in lines:
        assert (line["tenant"], line["job"], line["video"]) == ("org_acme", str(job.id), str(job.video_id))
        assert (line["segment"], line["request_id"], line["task"]) == (str(segment.id), "r-1", "run_segment")
    for outcome in ("completed", "skipped"):
        labels = {"task": "run_segment", "outcome": outcome}
        assert registry.get_sample_value("vidintel_task_duration_seconds_count", labels) == 1


def process_with(world: World, taken: int) -> WorkerProcess:
    """A worker process that takes ``taken`` bytes of memory; 1000 are allowed."""
    engine, uow = InProcessTaskEngine(concurrency=1), world.database.unit_of_work
    dispatch = DispatchWork(uow, engine, world.clock, concurrency=1, redispatch=timedelta(0))
    settings = WorkSettings(concurrency=1, poll_s=0.01, recycle_bytes=1000)
    services = services_of(world, settings)
    return WorkerProcess(replace(services, engine=engine, dispatch=dispatch, memory=lambda: taken))


async def test_a_process_that_has_grown_too_large_ends_between_pieces_of_work_and_others_go_on() -> None:
    world = World()
    job = (await world.registered()).job.job

    processes = 0
    while not (await world.job(job)).status.is_final:
        async with asyncio.timeout(60):
            await process_with(world, 1001).run(asyncio.Event())
        processes += 1
        assert not (await world.job(job)).work.is_held
        assert all(not segment.work.is_held for segment in await world.segments())

    assert (await world.job(job)).status is JobStatus.SUCCEEDED
    assert processes == 4, "for the plan, two segments and the end"
    assert [segment.work.attempts for segment in await world.segments()] == [1, 1]


async def test_a_process_that_is_small_enough_goes_on() -> None:
    world = World()
    job = (await world.registered()).job.job
    stop = asyncio.Event()
    running = asyncio.create_task(process_with(world, 1000).run(stop))
    async with asyncio.timeout(60):
        while not (await world.job(job)).status.is_final:  # noqa: ASYNC110 - rows cannot be waited for
            await asyncio.sleep(0.01)
    stop.set()
    await running

    assert (await world.job(job)).status is JobStatus.SUCCEEDED


async def test_objects_are_removed_also_while_videos_cannot_be() -> None:
    world = World()
    async with world.database.unit_of_work() as uow:
        await uow.object_deletions.schedule("videos/gone/source", world.clock.now())
        await uow.commit()

    def broken() -> RetentionRules:
        raise ServiceUnavailable("The database is busy.")

    stop = asyncio.Event()
    retention = ApplyRetention(world.database.unit_of_work, world.clock, broken)
    process = WorkerProcess(replace(services_of(world, WorkSettings()), apply_retention=retention))
    running = asyncio.create_task(process.run(stop))
    async with asyncio.timeout(30):
        while world.database.object_deletions:  # noqa: ASYNC110 - rows cannot be waited for
            await asyncio.sleep(0.01)
    stop.set()
    await running


def test_a_process_knows_what_it_takes() -> None:
    taken = resident_bytes()
    assert taken is None or taken > 10 * 1024**2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be asked")
def test_what_was_freed_goes_back_to_the_system() -> None:
    block, last = 64 * 1024, []
    blocks = [np.ones(block, np.uint8) for _ in range(2000)]
    last.append(np.ones(block, np.uint8))  # what lies behind it keeps the heap from shrinking by itself
    held = resident_bytes()
    blocks.clear()

    return_free_memory()

    taken = resident_bytes()
    assert held is not None
    assert taken is not None
    assert held - taken > 1000 * block


async def test_free_memory_is_given_back_before_a_process_is_found_too_large() -> None:
    world = World()
    await world.planned()
    segment = (await world.segments())[0]
    taken, engine = [2000], Declared()
    services = replace(
        services_of(world, WorkSettings(recycle_bytes=1000)),
        engine=engine,
        memory=lambda: taken[-1],
        return_memory=lambda: taken.append(500),
    )
    WorkerProcess(services)

    with structlog.testing.capture_logs() as lines:
        await asyncio.to_thread(engine.actors["run_segment"], str(segment.id))

    assert taken == [2000, 500]
    assert "worker.outgrown" not in {line["event"] for line in lines}


async def test_a_worker_that_is_told_to_end_while_it_is_being_woken_ends() -> None:
    world = World()

    class WokenAtTheEnd(SilentBell):
        """Its waits take a moment to end when they are cancelled, and the worker is told to end just then."""

        def __init__(self, stop: asyncio.Event) -> None:
            self._stop = stop

        async def wait(self, timeout_s: float) -> None:
            try:
                await asyncio.sleep(timeout_s)
            finally:
                self._stop.set()
                for _ in range(10):
                    await asyncio.sleep(0)

    stop = asyncio.Event()
    services = replace(services_of(world, WorkSettings(poll_s=60)), notifications=WokenAtTheEnd(stop))
    process = WorkerProcess(services)
    running = asyncio.create_task(process.run(stop))
    async with asyncio.timeout(30):
        while not running.done():
            process._answered()
            await asyncio.sleep(0)


async def test_a_worker_delivers_events_as_they_come() -> None:
    world = World()
    told = Told()
    rules = DeliveryRules(handle_s=60.0, retry=RetryPolicy())
    deliver = DeliverEvents(world.database.unit_of_work, told, world.clock, rules)
    services = replace(services_of(world, WorkSettings(poll_s=0.01)), deliver_events=[deliver])
    await deliver()  # subscribes
    stop = asyncio.Event()
    running = asyncio.create_task(WorkerProcess(services).run(stop))
    video = (await world.registered()).video
    await asyncio.wait_for(told.heard.wait(), timeout=60)
    stop.set()
    await running

    assert [event.subject.id for event in told.events] == [video.id]


class Told:
    """A subscriber that hears of uploads."""

    name = "told"
    wants = frozenset({EventType.VIDEO_UPLOADED})

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.heard = asyncio.Event()

    async def handle(self, batch: Sequence[Event]) -> None:
        self.events.extend(batch)
        self.heard.set()
