"""A new kind of background work takes one handler and one registration; everything else does its part unasked."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from dependency_injector import providers
from prometheus_client import generate_latest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.factories import make_item
from vidintel.application.ports import UnitOfWork, UnitOfWorkFactory
from vidintel.application.work.handler import WorkHandler, WorkHandlers
from vidintel.application.work.isolation import ProcessEnd
from vidintel.application.work.lease import Lease
from vidintel.container import Container
from vidintel.domain.errors import UnreadableVideo
from vidintel.domain.video import Failure
from vidintel.domain.work import WorkItem, WorkItemId
from vidintel.presentation.worker import WorkerProcess
from vidintel.settings.model import Settings, WorkSettings


class Greet(WorkHandler[UUID]):
    """A throw-away kind: greets its subject, and refuses one."""

    kind = "greeting.send"

    def __init__(self, refused: UUID) -> None:
        self._refused = refused
        self.greeted: list[UUID] = []
        self.given_up: list[tuple[UUID, str]] = []

    async def begin(self, uow: UnitOfWork, item: WorkItem) -> UUID:
        return item.subject_id

    async def run(self, subject: UUID, lease: Lease) -> str:
        if subject == self._refused:
            raise UnreadableVideo("Nobody to greet.")
        self.greeted.append(subject)
        return "greeted"

    async def give_up(self, uow: UnitOfWork, item: WorkItem, failure: Failure, now: datetime) -> None:
        self.given_up.append((item.subject_id, failure.code))


class Unhurried:
    """Implements `SoloProcess`: never gets to it, and ends well when the worker leaves."""

    async def run(self, work_id: WorkItemId, owner: str, *, is_leaving: Callable[[], bool]) -> ProcessEnd:
        while not is_leaving():  # noqa: ASYNC110 - it is asked, not told
            await asyncio.sleep(0.01)
        return ProcessEnd(0, was_stopped=False)


def greetings(subjects: Sequence[UUID], now: datetime) -> list[WorkItem]:
    return [make_item(kind=Greet.kind, subject_id=each, group_id=each, created_at=now) for each in subjects]


async def test_a_new_kind_is_dispatched_done_given_up_counted_and_reclaimed(
    database_url: str, engine: AsyncEngine, uow_factory: UnitOfWorkFactory, tmp_path: Path
) -> None:
    subjects = [uuid4() for _ in range(4)]
    handler = Greet(refused=subjects[-1])
    settings = Settings(data_dir=tmp_path, work=WorkSettings(concurrency=2, poll_s=0.05, sweep_s=0.05, drain_s=0))
    container = Container(settings=providers.Object(settings), database_url=providers.Object(database_url))
    container.handlers.override(providers.Object(WorkHandlers([handler])))
    now = container.clock().now()
    items = greetings(subjects, now)
    async with uow_factory() as uow:
        await uow.work_items.add_all(items)
        # A worker that died holds the first; its lease has run out.
        assert await uow.work_items.claim(items[0].id, "dead", now, now) is not None
        await uow.commit()

    container.solo_process.override(providers.Object(Unhurried()))
    stop = asyncio.Event()
    running = asyncio.create_task(WorkerProcess(container.worker_services()).run(stop))
    async with asyncio.timeout(60):
        while len(handler.greeted) < 2 or not handler.given_up:  # noqa: ASYNC110 - it happens in a worker
            await asyncio.sleep(0.02)
    stop.set()
    await running
    metrics = generate_latest(container.metrics_registry()).decode()
    await container.engine().dispose()

    assert handler.given_up == [(subjects[-1], "unreadable_video")]
    assert set(handler.greeted) >= set(subjects[1:3])
    assert 'vidintel_work_attempts_total{kind="greeting.send",outcome="done"} 2.0' in metrics
    assert 'vidintel_work_attempts_total{kind="greeting.send",outcome="failed"} 1.0' in metrics
    assert 'vidintel_lease_expiries_total{kind="greeting.send"} 1.0' in metrics
    async with uow_factory() as uow:
        left = [await uow.work_items.get(item.id) for item in items]
    assert [item is None for item in left] == [False, True, True, True]
    assert left[0] is not None
    assert left[0].work.is_suspect


def test_two_handlers_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=Greet.kind):
        WorkHandlers([Greet(uuid4()), Greet(uuid4())])
