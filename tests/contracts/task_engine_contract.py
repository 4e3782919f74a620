"""What every task engine does: it is a queue at one end, and runs an actor at the other."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from tests.support.factories import TENANT
from vidintel.application.ports import DueWork, TaskQueue
from vidintel.domain.work import WorkItemId
from vidintel.presentation.worker import TaskEngine

PATIENCE_S = 30.0


class Engine(TaskQueue, TaskEngine, Protocol): ...


@dataclass
class Handled:
    """Declared on an engine, remembers what it was handed. ``gate`` holds every handling up while it is closed."""

    ids: list[WorkItemId] = field(default_factory=list)
    fails_at: WorkItemId | None = None
    at_once: int = 0
    most_at_once: int = 0
    answers: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put_on(self, engine: Engine, *, opened: bool = True) -> None:
        if opened:
            self.gate.set()
        engine.declare(self._handle, answered=self._answered)

    def _handle(self, work_id: WorkItemId) -> None:
        with self._lock:
            self.ids.append(work_id)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.gate.wait(PATIENCE_S)
        with self._lock:
            self.at_once -= 1
        if work_id == self.fails_at:
            raise ZeroDivisionError("an actor that fails")

    def _answered(self) -> None:
        with self._lock:
            self.answers += 1


def due() -> DueWork:
    return DueWork(WorkItemId(uuid4()), "family.name", TENANT)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for happens on other threads
            await asyncio.sleep(0.01)


async def stop(engine: Engine) -> None:
    await engine.stop(drain_s=PATIENCE_S, hurry=lambda: None)


class TaskEngineContract:
    """Subclasses have a fixture ``new_engine``: makes an engine with that many threads, which the test stops."""

    async def test_each_message_is_handled_once(self, new_engine: Callable[[int], Engine]) -> None:
        engine, handled = new_engine(2), Handled()
        handled.put_on(engine)
        engine.start()
        works = [due() for _ in range(3)]
        await engine.enqueue(works)
        await engine.enqueue([])

        await until(lambda: handled.answers == 3)
        await stop(engine)

        assert sorted(handled.ids) == sorted(work.id for work in works)

    async def test_an_actor_that_fails_gives_its_place_free_and_is_not_called_again(
        self, new_engine: Callable[[int], Engine]
    ) -> None:
        failing, fine = due(), due()
        engine, handled = new_engine(1), Handled(fails_at=failing.id)
        handled.put_on(engine)
        engine.start()
        await engine.enqueue([failing, fine])

        await until(lambda: handled.answers == 2)
        assert await engine.backlog() == 0
        await stop(engine)

        assert handled.ids == [failing.id, fine.id]

    async def test_the_backlog_is_what_is_handled_and_what_waits(self, new_engine: Callable[[int], Engine]) -> None:
        engine, handled = new_engine(2), Handled()
        handled.put_on(engine, opened=False)
        engine.start()
        assert await engine.backlog() == 0
        await engine.enqueue([due() for _ in range(5)])

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
        await engine.enqueue([due()])
        await until(lambda: handled.at_once == 1)

        await engine.stop(drain_s=0.0, hurry=handled.gate.set)

        assert handled.at_once == 0
