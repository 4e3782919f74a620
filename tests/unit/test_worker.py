"""The worker process, without its task engine."""

import asyncio
import platform
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import structlog
from prometheus_client import CollectorRegistry

from tests.unit.application.world import World
from vidintel.application.events.delivery import DeliverEvents, DeliveryRules
from vidintel.application.jobs.work import SEGMENT
from vidintel.application.ports import SILENT, NoTracing
from vidintel.application.result import Ok
from vidintel.application.work.dispatch import DispatchWork
from vidintel.application.work.handler import WorkHandlers
from vidintel.application.work.isolation import ProcessEnd, RunAlone
from vidintel.application.work.recurring import RecurringWork, ScheduleRecurringWork
from vidintel.application.work.setbacks import RecordSetback
from vidintel.domain.analysis import JobStatus
from vidintel.domain.events import Event, EventType
from vidintel.domain.work import Cause, RetryPolicy, WorkItemId
from vidintel.infrastructure.memory import resident_bytes, return_free_memory
from vidintel.infrastructure.observability.telemetry import PrometheusTelemetry
from vidintel.infrastructure.tasks.in_process import InProcessTaskEngine
from vidintel.presentation.worker import WorkerProcess, WorkerServices
from vidintel.settings.model import WorkSettings


class NoEngine:
    def declare(self, actor: Callable[[WorkItemId], None], *, answered: Callable[[], None]) -> None: ...

    def start(self) -> None: ...

    async def stop(self, *, drain_s: float, hurry: Callable[[], None]) -> None: ...


class SilentNotifications:
    @asynccontextmanager
    async def listening(self) -> AsyncIterator["SilentNotifications"]:
        yield self

    async def wait(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)


ENDED_WELL = ProcessEnd(0, was_stopped=False)


class NoChildren:
    """Implements `SoloProcess`: remembers what was to be run alone, and ends as told."""

    def __init__(self, end: ProcessEnd = ENDED_WELL) -> None:
        self.end = end
        self.ran: list[WorkItemId] = []

    async def run(self, work_id: WorkItemId, owner: str, *, is_leaving: Callable[[], bool]) -> ProcessEnd:
        self.ran.append(work_id)
        return self.end


def services_of(world: World, settings: WorkSettings, children: NoChildren | None = None) -> WorkerServices:
    return WorkerServices(
        identity=world.worker,
        engine=NoEngine(),
        notifications=SilentNotifications(),
        runner=world.runner,
        run_alone=RunAlone(children or NoChildren(), world.reclaim, world.worker),
        dispatch=world.dispatch,
        reclaim=world.reclaim,
        deliver_events=[],
        schedule_recurring=ScheduleRecurringWork(world.database.unit_of_work, world.clock, world.handlers),
        settings=settings,
        telemetry=SILENT,
        tracing=NoTracing(),
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

    outcomes = await asyncio.gather(*(world.plan(job) for job in jobs))
    assert all(isinstance(outcome, Ok) for outcome in outcomes)


class Declared(NoEngine):
    """Keeps the actor, for a test to call as an engine's thread would."""

    actor: Callable[[WorkItemId], None]

    def declare(self, actor: Callable[[WorkItemId], None], *, answered: Callable[[], None]) -> None:
        self.actor = actor


async def test_every_line_about_a_segment_says_whose_it_is_and_how_it_ended_is_counted() -> None:
    world = World()
    job = await world.planned()
    segment = (await world.segments())[0]
    item_id = world.item(SEGMENT, segment.id)
    world.database.work_items[item_id].cause = Cause("r-1", None)
    registry, engine = CollectorRegistry(), Declared()
    services = services_of(world, WorkSettings())
    WorkerProcess(replace(services, engine=engine, telemetry=PrometheusTelemetry(registry)))

    def log_a_line(_: int) -> None:
        structlog.get_logger().info("frame.seen")

    world.media.on_frame = log_a_line
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        await asyncio.to_thread(engine.actor, item_id)
        await asyncio.to_thread(engine.actor, item_id)

    skipped = lines.pop()
    assert (skipped["event"], skipped["id"]) == ("task.skipped", str(item_id))
    assert {line["event"] for line in lines} == {"frame.seen", "task.completed"}
    for line in lines:
        assert (line["tenant"], line["job"], line["video"]) == ("org_acme", str(job.id), str(job.video_id))
        assert (line["segment"], line["request_id"], line["task"]) == (str(segment.id), "r-1", SEGMENT)
    labels = {"task": SEGMENT, "outcome": "completed"}
    assert registry.get_sample_value("vidintel_task_duration_seconds_count", labels) == 1


@pytest.mark.parametrize(
    ("end", "deaths", "interruptions"),
    [
        (ENDED_WELL, 0, 1),
        (ProcessEnd(-11, was_stopped=False), 1, 1),
        (ProcessEnd(-9, was_stopped=True), 0, 2),
    ],
    ids=["well", "crashed", "stopped"],
)
async def test_a_suspect_is_left_to_a_process_of_its_own_whose_end_is_told_apart(
    end: ProcessEnd, deaths: int, interruptions: int
) -> None:
    world = World()
    await world.planned()
    item_id = world.item(SEGMENT, (await world.segments())[0].id)
    await world.die_with(item_id)
    await world.reclaim(gone="dead")

    class HoldsItWhileItRuns(NoChildren):
        async def run(self, work_id: WorkItemId, owner: str, *, is_leaving: Callable[[], bool]) -> ProcessEnd:
            if end.status != 0:
                await world.die_with(work_id, owner)
            return await super().run(work_id, owner, is_leaving=is_leaving)

    engine, children = Declared(), HoldsItWhileItRuns(end)
    WorkerProcess(replace(services_of(world, WorkSettings(), children), engine=engine))

    await asyncio.to_thread(engine.actor, item_id)

    assert children.ran == [item_id]
    work = world.work_of(item_id)
    assert (work.deaths, work.interruptions, work.is_held) == (deaths, interruptions, False)


def process_with(world: World, taken: int) -> WorkerProcess:
    """A worker process that takes ``taken`` bytes of memory; 1000 are allowed."""
    engine, uow = InProcessTaskEngine(concurrency=1), world.database.unit_of_work
    dispatch = DispatchWork(uow, engine, world.clock, kinds=world.handlers, redispatch=timedelta(0))
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
        assert all(not item.work.is_held for item in world.database.work_items.values())

    assert (await world.job(job)).status is JobStatus.SUCCEEDED
    assert processes == 4, "for the plan, two segments and the end"


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


async def test_recurring_work_that_fails_keeps_no_other_from_being_done_and_is_tried_again() -> None:
    world = World()
    removed, broken = list[str](), list[str]()

    async def remove() -> None:
        removed.append("object")

    async def fail() -> None:
        broken.append("video")
        raise ZeroDivisionError

    world.handlers = WorkHandlers(
        [
            RecurringWork("storage.collect", remove, every=timedelta(seconds=30)),
            RecurringWork("retention.apply", fail, every=timedelta(seconds=30)),
        ]
    )
    world.setbacks = RecordSetback(
        world.database.unit_of_work, world.clock, world.handlers, RetryPolicy(max_attempts=1), SILENT
    )
    await ScheduleRecurringWork(world.database.unit_of_work, world.clock, world.handlers)()
    await ScheduleRecurringWork(world.database.unit_of_work, world.clock, world.handlers)()
    runner = world.runner_of(world.worker)

    for _ in range(3):
        for item in list(world.database.work_items.values()):
            with suppress(ZeroDivisionError):
                await world.do(item.id, runner=runner)
        world.clock.advance(30)

    assert (len(removed), len(broken)) == (3, 3)
    due = {item.kind: item.work.due_at - world.clock.now() for item in world.database.work_items.values()}
    assert due["storage.collect"] == timedelta(0)
    assert not any(item.work.is_held for item in world.database.work_items.values())


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
        await asyncio.to_thread(engine.actor, world.item(SEGMENT, segment.id))

    assert taken == [2000, 500]
    assert "worker.outgrown" not in {line["event"] for line in lines}


async def test_a_worker_that_is_told_to_end_while_it_is_being_woken_ends() -> None:
    world = World()

    class WokenAtTheEnd(SilentNotifications):
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
