"""Redis loses everything it knew while workers are at work: nothing is lost, and nothing done twice."""

import asyncio
from pathlib import Path

from dependency_injector import providers
from pydantic import SecretStr

from tests.crashing.invariants import answers, violations
from tests.crashing.points import CrashPoints
from tests.crashing.system import ALICE, Incoming, Place, Told
from tests.support.fake_inference import FakeDetectors, FakeModelRegistry
from tests.support.media_files import PLAIN, even_times, video
from tests.support.postgres import administer
from tests.support.redis_server import RedisServer
from vidintel.application.result import Ok
from vidintel.container import Container, create_container
from vidintel.infrastructure.tasks.redis import RedisTaskEngine
from vidintel.presentation.worker import WorkerProcess
from vidintel.settings.model import AnalysisSettings, RedisSettings, Settings, WorkSettings

VIDEOS = 6
_DONE = "SELECT count(*) AS n FROM segments WHERE status = 'done'"
_ENDED = "SELECT count(*) AS n FROM jobs WHERE status = 'succeeded'"
_NONE_WAITS = "SELECT (NOT EXISTS (SELECT FROM event_deliveries))::int AS n"
PATIENCE_S = 120.0


def worker_of(place: Place, redis_url: str, name: str) -> Container:
    settings = Settings(
        data_dir=place.data_dir,
        redis=RedisSettings(url=SecretStr(redis_url)),
        analysis=AnalysisSettings(segment_s=1.0),
        work=WorkSettings(concurrency=1, redispatch_s=1.0),
    )
    container = create_container(settings, place.database_url)
    container.owner.override(providers.Object(name))
    container.registry.override(providers.Singleton(FakeModelRegistry))
    container.detectors.override(providers.Singleton(FakeDetectors))
    told = Told(place, CrashPoints(None, lambda: None))
    container.event_subscribers.override(providers.List(providers.Object(told)))
    return container


async def reached(place: Place, query: str, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await asyncio.to_thread(administer, place.database_url, query))[0]["n"] < count:  # noqa: ASYNC110 - it happens in the database
            await asyncio.sleep(0.02)


async def test_redis_may_lose_everything_while_workers_are_at_work(
    database_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    place = Place(database_url, tmp_path)
    clip = video(even_times(50), PLAIN.with_keyframes(25))
    workers = [worker_of(place, redis_server.url, f"worker-{number}") for number in range(2)]
    assert all(isinstance(worker.task_engine(), RedisTaskEngine) for worker in workers)
    for deliver in workers[0].deliver_events():  # subscribes to all that happens from now on
        await deliver()
    for _ in range(VIDEOS):
        assert isinstance(await workers[0].register_video()(ALICE, Incoming(clip)), Ok)

    stop = asyncio.Event()
    running = [asyncio.create_task(WorkerProcess(worker.worker_services()).run(stop)) for worker in workers]
    await reached(place, _DONE, 1)
    for done in (3, 5):  # for good, and with some time in which there is none
        redis_server.forget()
        await reached(place, _DONE, done)
        redis_server.start()
    await reached(place, _ENDED, VIDEOS)
    await reached(place, _NONE_WAITS, 1)
    stop.set()
    await asyncio.gather(*running)
    for worker in workers:
        await worker.engine().dispose()

    assert await asyncio.to_thread(violations, place) == []
    found = (await asyncio.to_thread(answers, place)).detections
    assert len(found) % VIDEOS == 0
    assert sorted(found) == sorted(VIDEOS * found[: len(found) // VIDEOS])
