"""Documents in Redis: what is found there is used only when it has seen every write that is known."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from tests.contracts.stored import keep
from tests.support.factories import TENANT, make_job, make_video
from tests.support.postgres import administer
from tests.support.redis_server import RedisServer
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.domain.analysis import JobStatus
from vidintel.domain.identity import TenantId
from vidintel.domain.video import Video, VideoId
from vidintel.infrastructure.cache.change_listener import ChangeListener
from vidintel.infrastructure.cache.changes import RECENT_S, Changes, RecentWrites
from vidintel.infrastructure.cache.redis_level import RedisDocuments
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.database.read_model.reports import SqlReportDocuments
from vidintel.settings.model import DatabaseSettings

LONG_S = 30.0


class Process:
    """The second level of one process, which has been listening for long enough; ``time_s`` moves by hand."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.time_s = 0.0
        self.redis = Redis.from_url(redis_url)
        self.changes = Changes(RecentWrites(lambda: self.time_s))
        self.counted = CountedCaches()
        self.change_listener = ChangeListener(database_url, self.changes)
        self.documents = RedisDocuments(
            SqlReportDocuments(database_url, DatabaseSettings()),
            redis_url,
            self.changes.writes,
            self.counted,
            namespace="test",
            time_s=lambda: self.time_s,
        )

    def count(self, outcome: str) -> int:
        return self.counted.counts.get(("video", outcome), 0)

    async def title(self, video: Video) -> str | None:
        document = await self.documents.video(TENANT, video.id)
        return None if document is None else "New" if '"title":"New"' in document.text else "old"


@asynccontextmanager
async def running(database_url: str, redis_url: str) -> AsyncIterator[Process]:
    process = Process(database_url, redis_url)
    try:
        async with process.change_listener.listening():
            process.time_s += RECENT_S
            yield process
    finally:
        await process.documents.close()
        await process.redis.aclose()


@pytest.fixture
async def here(database_url: str, redis_url: str) -> AsyncIterator[Process]:
    async with running(database_url, redis_url) as process:
        yield process


@pytest.fixture
async def there(database_url: str, redis_url: str) -> AsyncIterator[Process]:
    async with running(database_url, redis_url) as process:
        yield process


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_S):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


async def test_what_one_process_has_read_another_finds(
    here: Process, there: Process, unit_of_work: UnitOfWorkFactory
) -> None:
    video = make_video()
    job = make_job(video=video, status=JobStatus.RUNNING)
    await keep(unit_of_work, video, job)

    first = await here.documents.video(TENANT, video.id)
    of_job = await here.documents.job(TENANT, job.id)

    assert await there.documents.video(TENANT, video.id) == first
    assert await there.documents.job(TENANT, job.id) == of_job
    assert (here.count("redis_miss"), there.count("redis_hit")) == (1, 1)


async def test_a_copy_that_has_not_seen_a_write_is_passed_over(
    here: Process, there: Process, unit_of_work: UnitOfWorkFactory, database_url: str
) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    assert await here.title(video) == "old"
    client, key = here.redis, await only_key(here)
    stale = await client.get(key)
    assert stale is not None
    before = (here.changes.now, there.changes.now)

    await asyncio.to_thread(administer, database_url, "UPDATE videos SET title = 'New'")
    await until(lambda: here.changes.now > before[0] and there.changes.now > before[1])

    assert await there.title(video) == "New"
    # Somebody who was held up since before the write puts the old copy back: nobody falls for it.
    await client.set(key, stale)
    assert [await here.title(video), await there.title(video)] == ["New", "New"]


async def only_key(process: Process) -> str:
    (key,) = await process.redis.keys("*")
    return key if isinstance(key, str) else key.decode()


async def test_reads_at_the_same_time_are_one_command(
    here: Process, there: Process, unit_of_work: UnitOfWorkFactory
) -> None:
    videos = [make_video() for _ in range(20)]
    await keep(unit_of_work, *videos)
    before = await commands(here)

    await asyncio.gather(*(here.documents.video(TENANT, video.id) for video in videos))
    read = await asyncio.gather(*(there.documents.video(TENANT, video.id) for video in videos * 10))

    assert [document.video_id for document in read if document is not None] == [video.id for video in videos * 10]
    after = await commands(here)
    assert there.count("redis_hit") == 200
    assert after["cmdstat_mget"]["calls"] - before.get("cmdstat_mget", {"calls": 0})["calls"] == 2


async def commands(process: Process) -> dict[str, dict[str, int]]:
    """How often each command was sent to Redis."""
    found: dict[str, dict[str, int]] = await process.redis.info("commandstats")
    return found


async def test_another_tenant_finds_nothing(here: Process, unit_of_work: UnitOfWorkFactory) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    await here.documents.video(TENANT, video.id)

    assert await here.documents.video(TenantId("org_other"), video.id) is None


async def test_who_has_not_listened_for_long_asks_the_database(here: Process, unit_of_work: UnitOfWorkFactory) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    await here.documents.video(TENANT, video.id)

    here.changes.connected()
    await here.documents.video(TENANT, video.id)
    assert here.count("redis_bypass") == 1

    here.time_s += RECENT_S
    await here.documents.video(TENANT, video.id)
    assert here.count("redis_bypass") == 1


async def test_copies_do_not_live_long(here: Process, unit_of_work: UnitOfWorkFactory) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    await here.documents.video(TENANT, video.id)

    assert 0 < await here.redis.pttl(await only_key(here)) <= RECENT_S * 1000 / 2


async def test_redis_that_dies_and_comes_back_changes_no_answer(
    database_url: str, redis_server: RedisServer, unit_of_work: UnitOfWorkFactory
) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    async with running(database_url, redis_server.url) as process:
        assert await process.title(video) == "old"

        redis_server.kill()
        await asyncio.to_thread(administer, database_url, "UPDATE videos SET title = 'New'")
        before = process.count("redis_bypass")
        assert [await process.title(video) for _ in range(3)] == ["New"] * 3
        assert process.count("redis_bypass") == before + 2  # the first of them found out, the others did not wait

        redis_server.start()
        process.time_s += RECENT_S / 2  # the write is still known, and so that the copy from before the crash lacks it
        assert [await process.title(video) for _ in range(2)] == ["New"] * 2
        assert process.count("redis_hit") == 1


async def test_a_redis_that_was_never_there_changes_no_answer(
    database_url: str, unit_of_work: UnitOfWorkFactory
) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    async with running(database_url, "redis://127.0.0.1:1/0") as process:
        assert await process.title(video) == "old"


VIDEO = VideoId(uuid4())


@pytest.mark.parametrize(
    ("snapshot", "is_up_to_date"),
    [("10:10:", False), ("10:11:", True), ("9:11:9", True), ("9:12:9,10", False), ("5:10:5", False), ("20:20:", True)],
)
def test_a_snapshot_tells_what_it_has_seen(snapshot: str, is_up_to_date: bool) -> None:
    writes = RecentWrites()
    writes.begin()
    assert writes.are_all_in(VIDEO, snapshot)

    writes.note(VIDEO, 10)

    assert writes.are_all_in(VIDEO, snapshot) is is_up_to_date


def test_a_write_of_an_unknown_transaction_is_in_no_copy_until_copies_have_ended() -> None:
    now = [0.0]
    writes = RecentWrites(lambda: now[0])
    writes.begin()
    writes.note(VIDEO, None)
    assert not writes.are_all_in(VIDEO, "99:99:")

    now[0] += RECENT_S
    assert writes.are_all_in(VIDEO, "99:99:")


def test_more_writes_than_can_be_remembered_make_all_copies_suspect() -> None:
    now = [0.0]
    writes = RecentWrites(lambda: now[0])
    writes.begin()
    now[0] += RECENT_S
    assert writes.are_known()
    for _ in range(10_001):
        writes.note(VideoId(uuid4()), 1)
    assert not writes.are_known()
