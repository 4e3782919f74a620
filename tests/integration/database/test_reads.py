"""The one statement that reads what clients ask most: it says what the repositories say."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import uuid4

import asyncpg
import pytest

from tests.contracts.stored import keep
from tests.contracts.video_reads_contract import VideoReadsContract
from tests.factories import TENANT, make_video
from tests.postgres import administer
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.cache.reads import CachedVideoReads
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.database.gathering import GatheredReads
from vidintel.infrastructure.database.read_connection import ReadConnection
from vidintel.infrastructure.database.reads import SqlReportDocuments, StoredVideoReads
from vidintel.settings import DatabaseSettings

STRANGER = TenantId("org_other")


@pytest.fixture
async def reads(database_url: str) -> AsyncIterator[StoredVideoReads]:
    documents = SqlReportDocuments(database_url, DatabaseSettings())
    yield StoredVideoReads(documents)
    await documents.close()


class TestStoredVideoReads(VideoReadsContract):
    """With the fixture above."""


class TestCachedVideoReads(VideoReadsContract):
    @pytest.fixture
    def reads(self, reads: StoredVideoReads) -> CachedVideoReads:
        changes = Changes()
        changes.hear()
        return CachedVideoReads(reads, changes, CountedCaches(), entries=10, ttl_s=60.0)


async def test_connections_that_the_server_closed_are_replaced_unnoticed(
    unit_of_work: UnitOfWorkFactory, reads: StoredVideoReads, database_url: str
) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    await reads.video(TENANT, video.id)

    await asyncio.to_thread(
        administer,
        database_url,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'vidintel-reads'",
    )

    assert await reads.video(TENANT, video.id) is not None


async def test_a_database_that_is_away_is_an_outage() -> None:
    documents = SqlReportDocuments("postgresql+asyncpg://nobody@127.0.0.1:1/none", DatabaseSettings())
    with pytest.raises(ServiceUnavailable):
        await documents.video(TENANT, VideoId(uuid4()))


async def test_these_connections_cannot_write(database_url: str) -> None:
    connection = ReadConnection(database_url, DatabaseSettings())
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.fetch("DELETE FROM videos")
    await connection.close()


class Statements:
    """Each waits until it is let go, and finds for each key its length."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.let_go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(keys)
        await self.let_go.wait()
        if self.error is not None:
            raise self.error
        return {key: len(key) for key in keys if key}


async def started(*asking: "asyncio.Task[int | None]") -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_who_asks_while_a_statement_is_under_way_shares_the_next() -> None:
    read = Statements()
    reads = GatheredReads(read)

    first = asyncio.create_task(reads.get("a"))
    await started(first)
    others = [asyncio.create_task(reads.get(key)) for key in ("bb", "a", "bb", "")]
    await started(*others)
    read.let_go.set()

    assert await asyncio.gather(first, *others) == [1, 2, 1, 2, None]
    assert read.asked == [["a"], ["bb", "a", ""]]
    assert await reads.get("ccc") == 3


async def test_a_statement_reads_so_many_and_no_more() -> None:
    read = Statements()
    read.let_go.set()
    reads = GatheredReads(read, most=2)

    assert await asyncio.gather(*(reads.get(key) for key in ("a", "bb", "ccc"))) == [1, 2, 3]
    assert [len(keys) for keys in read.asked] == [2, 1]


async def test_who_gives_up_waiting_takes_no_answer_away_and_an_error_reaches_all() -> None:
    read = Statements()
    reads = GatheredReads(read)

    gone, patient = asyncio.create_task(reads.get("a")), asyncio.create_task(reads.get("a"))
    await started(gone, patient)
    gone.cancel()
    read.let_go.set()
    assert await patient == 1

    read.error = ValueError("no")
    for outcome in await asyncio.gather(reads.get("a"), reads.get("b"), return_exceptions=True):
        assert isinstance(outcome, ValueError)
