"""The engine on a real Redis: what it shares with others, and how it gets on without it."""

from collections.abc import Callable

import pytest

from tests.contracts.task_engine_contract import Engine, Handled, TaskEngineContract, due, stop, until
from tests.support.redis_server import RedisServer, redis_client
from vidintel.infrastructure.tasks.redis import RedisTaskEngine


def engine_on(url: str, concurrency: int = 1) -> RedisTaskEngine:
    return RedisTaskEngine(url, namespace="test", concurrency=concurrency)


class TestRedisTaskEngine(TaskEngineContract):
    @pytest.fixture
    def new_engine(self, redis_url: str) -> Callable[[int], Engine]:
        return lambda concurrency: engine_on(redis_url, concurrency)


async def test_any_worker_takes_up_what_another_enqueued(redis_url: str) -> None:
    dispatching, working = engine_on(redis_url), engine_on(redis_url)
    work = due()
    await dispatching.enqueue([work])
    assert await working.backlog() == 1, "what waits counts for everybody"

    handled = Handled()
    handled.put_on(working)
    working.start()
    await until(lambda: handled.answers == 1)
    assert await dispatching.backlog() == 0
    await stop(working)
    await stop(dispatching)

    assert handled.ids == [work.id]


async def test_no_worker_takes_more_than_it_can_begin(redis_url: str) -> None:
    busy, idle = engine_on(redis_url), engine_on(redis_url)
    held_up, handled = Handled(), Handled()
    held_up.put_on(busy, opened=False)
    handled.put_on(idle)
    busy.start()
    await busy.enqueue([due()])
    await until(lambda: held_up.at_once == 1)
    later = [due() for _ in range(3)]
    await busy.enqueue(later)
    idle.start()

    await until(lambda: handled.answers == 3)
    held_up.gate.set()
    await stop(busy)
    await stop(idle)

    assert handled.ids == [work.id for work in later]
    assert len(held_up.ids) == 1


async def test_a_worker_that_stops_leaves_nothing_behind_in_redis(redis_url: str) -> None:
    engine, handled = engine_on(redis_url), Handled()
    handled.put_on(engine)
    engine.start()
    await engine.enqueue([due()])
    await until(lambda: handled.answers == 1)
    await stop(engine)

    with redis_client(redis_url) as client:
        assert set(client.keys()) == {b"test:tasks:__heartbeats__"}


async def test_without_redis_a_worker_works_for_itself(redis_server: RedisServer) -> None:
    engine, handled = engine_on(redis_server.url), Handled()
    handled.put_on(engine)
    engine.start()
    redis_server.kill()
    works = [due() for _ in range(3)]
    await engine.enqueue(works)

    await until(lambda: handled.answers == 3)
    assert await engine.backlog() == 0
    await stop(engine)

    assert sorted(handled.ids) == sorted(work.id for work in works)


async def test_redis_may_go_while_work_is_done_and_come_back_empty(redis_server: RedisServer) -> None:
    engine, other, handled = engine_on(redis_server.url), engine_on(redis_server.url), Handled()
    handled.put_on(engine, opened=False)
    engine.start()
    await engine.enqueue([due()])
    await until(lambda: handled.at_once == 1)
    await engine.enqueue([due()])  # waits in Redis, and is lost with it: the database knows of it

    redis_server.forget()
    handled.gate.set()
    await until(lambda: handled.answers == 1)
    redis_server.start()
    again = due()
    await other.enqueue([again])
    await until(lambda: handled.answers == 2)
    await stop(engine)
    await stop(other)

    assert handled.ids[-1] == again.id


async def test_a_worker_stops_though_redis_is_away(redis_server: RedisServer) -> None:
    engine, handled = engine_on(redis_server.url), Handled()
    handled.put_on(engine, opened=False)
    engine.start()
    await engine.enqueue([due()])
    await until(lambda: handled.at_once == 1)
    redis_server.kill()

    await engine.stop(drain_s=0.0, hurry=handled.gate.set)

    assert handled.at_once == 0
