"""What every task engine does: it is a task_queue at one end, and runs actors at the other."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from tests.support.factories import TENANT
from vidintel.application.ports import DueWork, TaskQueue
from vidintel.domain.analysis import JobStage
from vidintel.presentation.worker import TaskEngine

PATIENCE_S = 30.0


class Engine(TaskQueue, TaskEngine, Protocol): ...


@dataclass
class Handled:
    """Declared on an engine, remembers what it was handed. ``gate`` holds every handling up while it is closed."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    answers: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put_on(self, engine: Engine, *, opened: bool = True) -> None:
        if opened:
            self.gate.set()

        def plan_job(work_id: str) -> None:
            self._handle("plan_job", work_id)

        def run_segment(work_id: str) -> None:
            self._handle("run_segment", work_id)

        def finish_job(work_id: str) -> None:
            self._handle("finish_job", work_id)
            raise ZeroDivisionError("an actor that fails")

        engine.declare(plan_job, run_segment, finish_job, answered=self._answered)

    def _handle(self, actor: str, work_id: str) -> None:
        with self._lock:
            self.calls.append((actor, work_id))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.gate.wait(PATIENCE_S)
        with self._lock:
            self.at_once -= 1

    def _answered(self) -> None:
        with self._lock:
            self.answers += 1

    @property
    def ids(self) -> list[str]:
        return [work_id for _, work_id in self.calls]


def due(stage: JobStage = JobStage.ANALYSE) -> DueWork:
    return DueWork(stage, uuid4(), TENANT)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for happens on other threads
            await asyncio.sleep(0.01)


async def stop(engine: Engine) -> None:
    await engine.stop(drain_s=PATIENCE_S, hurry=lambda: None)


class TaskEngineContract:
    """Subclasses have a fixture ``new_engine``: makes an engine with that many threads, which the test stops."""

    async def test_each_stage_is_handled_by_its_actor(self, new_engine: Callable[[int], Engine]) -> None:
        engine, handled = new_engine(2), Handled()
        handled.put_on(engine)
        engine.start()
        works = [due(stage) for stage in JobStage]
        for work in works:
            await engine.enqueue(work)

        await until(lambda: handled.answers == 3)
        await stop(engine)

        names = {JobStage.PLAN: "plan_job", JobStage.ANALYSE: "run_segment", JobStage.FINISH: "finish_job"}
        assert sorted(handled.calls) == sorted((names[work.stage], str(work.id)) for work in works)

    async def test_an_actor_that_fails_gives_its_place_free_and_is_not_called_again(
        self, new_engine: Callable[[int], Engine]
    ) -> None:
        engine, handled = new_engine(1), Handled()
        handled.put_on(engine)
        engine.start()
        failing, fine = due(JobStage.FINISH), due()
        await engine.enqueue(failing)
        await engine.enqueue(fine)

        await until(lambda: handled.answers == 2)
        assert await engine.backlog() == 0
        await stop(engine)

        assert handled.ids == [str(failing.id), str(fine.id)]

    async def test_the_load_is_what_is_handled_and_what_waits(self, new_engine: Callable[[int], Engine]) -> None:
        engine, handled = new_engine(2), Handled()
        handled.put_on(engine, opened=False)
        engine.start()
        assert await engine.backlog() == 0
        for _ in range(5):
            await engine.enqueue(due())

        await until(lambda: handled.at_once == 2)
        assert await engine.backlog() == 5
        handled.gate.set()
        await until(lambda: handled.answers == 5)
        assert await engine.backlog() == 0
        await stop(engine)

        assert handled.most_at_once == 2

    async def test_stopping_waits_for_what_runs_and_hurries_it_when_that_takes_long(
        self, new_engine: Callable[[int], Engine]
    ) -> None:
        engine, handled = new_engine(1), Handled()
        handled.put_on(engine, opened=False)
        engine.start()
        await engine.enqueue(due())
        await until(lambda: handled.at_once == 1)

        await engine.stop(drain_s=0.0, hurry=handled.gate.set)

        assert handled.at_once == 0
