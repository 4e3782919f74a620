"""Fairness where it can be lost: several workers, a broker with messages in it, and a tenant with very many."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from tests.contracts.task_engine_contract import PATIENCE_S, until
from tests.support.factories import NOW, make_item
from tests.support.fakes import FakeClock
from vidintel.application.jobs.work import SEGMENT
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.application.work.dispatch import DispatchWork
from vidintel.domain.identity import TenantId
from vidintel.domain.work import WorkItemId
from vidintel.infrastructure.tasks.redis import RedisTaskEngine

BUSY, SMALL = TenantId("busy"), TenantId("small")
WORKERS = 2


class Worker:
    """One thread, which does each item as soon as it is `let_go`; its dispatcher enqueues when there is room."""

    def __init__(self, unit_of_work: UnitOfWorkFactory, redis_url: str) -> None:
        self.begun: list[WorkItemId] = []
        self._steps = threading.Semaphore(0)
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.engine = RedisTaskEngine(redis_url, namespace="test", concurrency=1)
        self.dispatch = DispatchWork(
            unit_of_work, self.engine, FakeClock(NOW), kinds=[SEGMENT], redispatch=timedelta(hours=1)
        )

        def do(work_id: WorkItemId) -> None:
            self.begun.append(work_id)
            assert self._steps.acquire(timeout=PATIENCE_S)

        def answered() -> None:
            self._loop.call_soon_threadsafe(self._room.set)

        self.engine.declare(do, answered=answered)

    def let_go(self) -> None:
        self._steps.release()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Worker"]:
        self.engine.start()
        dispatching = asyncio.create_task(self._dispatch_for_ever())
        try:
            yield self
        finally:
            dispatching.cancel()
            await asyncio.wait({dispatching})
            for _ in range(100):
                self.let_go()
            await self.engine.stop(drain_s=PATIENCE_S, hurry=lambda: None)

    async def _dispatch_for_ever(self) -> None:
        while True:
            self._room.clear()
            await self.dispatch()
            await self._room.wait()


async def segments_of(unit_of_work: UnitOfWorkFactory, tenant: TenantId, count: int, age_s: float) -> set[WorkItemId]:
    group, created_at = uuid4(), NOW - timedelta(seconds=age_s)
    items = [
        make_item(tenant_id=tenant, group_id=group, created_at=created_at, ordinal=index) for index in range(count)
    ]
    async with unit_of_work() as uow:
        await uow.work_items.add_all(items)
        await uow.commit()
    return {item.id for item in items}


async def test_ten_thousand_segments_delay_another_tenants_first_by_one_segment_per_worker_at_most(
    unit_of_work: UnitOfWorkFactory, redis_url: str
) -> None:
    await segments_of(unit_of_work, BUSY, 10_000, age_s=60)
    async with Worker(unit_of_work, redis_url).at_work() as one, Worker(unit_of_work, redis_url).at_work() as other:
        workers = (one, other)
        await until(lambda: all(len(worker.begun) == 1 for worker in workers))

        (small,) = await segments_of(unit_of_work, SMALL, 1, age_s=0)
        for step in range(WORKERS + 1):  # each worker may have had one more message sent ahead
            if any(small in worker.begun for worker in workers):
                break
            workers[step % WORKERS].let_go()
            await begun_in_all(workers, WORKERS + step + 1)

        begun_since = [worker.begun[1:] for worker in workers]
    assert sum(small in begun for begun in begun_since) == 1
    assert all(len(set(begun) - {small}) <= 1 for begun in begun_since)


async def begun_in_all(workers: Sequence[Worker], count: int) -> None:
    await until(lambda: sum(len(worker.begun) for worker in workers) == count)
