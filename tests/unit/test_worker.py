"""The worker process, without its task engine."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from tests.unit.application.world import World
from vidintel.application.ports import SILENT, NoTracing, WorkContext
from vidintel.application.result import Ok
from vidintel.presentation.worker import WorkerProcess, WorkerServices
from vidintel.settings import WorkSettings


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
        bell=SilentBell(),
        plan_job=world.plan,
        run_segment=world.run,
        finish_job=world.finish,
        dispatch=world.dispatch,
        reclaim=world.reclaim,
        collect_garbage=world.collect_garbage,
        settings=settings,
        telemetry=SILENT,
        tracing=NoTracing(),
        contexts=NoContexts(),
        die=lambda: None,
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
