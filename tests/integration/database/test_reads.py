"""The one statement that reads what clients ask most: it says what the repositories say."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from tests.contracts.stored import keep
from tests.contracts.video_reads_contract import VideoReadsContract
from tests.support.factories import TENANT, make_video
from tests.support.postgres import administer
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.cache.reads import CachedVideoReads
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.database.read_model.connection import ReadConnection
from vidintel.infrastructure.database.read_model.reports import SqlReportDocuments, StoredVideoReads
from vidintel.settings.model import DatabaseSettings

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
        changes.connected()
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
