"""The one statement that reads what clients ask most: it says what the repositories say."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from tests.contracts.stored import keep, state_of
from tests.factories import NOW, TENANT, make_job, make_segment, make_video
from tests.postgres import administer
from vidintel.application.ports import JobProgress, UnitOfWorkFactory
from vidintel.domain.analysis import AnalysisSpec, JobId, JobStatus
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.geometry import Line, Point, Zone
from vidintel.domain.identity import TenantId
from vidintel.domain.segment import SegmentStatus
from vidintel.domain.video import VideoId, VideoStatus
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


@pytest.mark.parametrize("status", VideoStatus)
async def test_a_video_is_read_with_all_its_fields(
    unit_of_work: UnitOfWorkFactory, reads: StoredVideoReads, status: VideoStatus
) -> None:
    video = make_video(status=status, description="Süd", captured_at=NOW - timedelta(microseconds=1))
    await keep(unit_of_work, video)

    report = await reads.video(TENANT, video.id)

    assert report is not None
    assert state_of(report.video) == state_of(video)
    assert report.job is None


@pytest.mark.parametrize("status", JobStatus)
async def test_a_job_is_read_with_all_its_fields(
    unit_of_work: UnitOfWorkFactory, reads: StoredVideoReads, status: JobStatus
) -> None:
    spec = AnalysisSpec(
        model="m",
        sample_fps=1 / 3,
        labels=("car", "lkw"),
        lines=(Line("Süd", Point(0.1, 1 / 3), Point(0.9, 1.0)),),
        zones=(Zone("kerb", (Point(0.1, 0.1), Point(0.2, 0.1), Point(1 / 7, 0.2))),),
    )
    video = make_video()
    job = make_job(video=video, status=status, spec=spec)
    await keep(unit_of_work, video, job)

    report = await reads.job(TENANT, job.id)
    of_video = await reads.video(TENANT, video.id)

    assert report is not None
    assert of_video is not None
    assert of_video.job is not None
    assert state_of(report.job) == state_of(of_video.job.job) == state_of(job)
    assert report.progress == of_video.job.progress == JobProgress(0, 0, 0, 0)


async def test_the_newest_job_and_its_progress_come_with_the_video(
    unit_of_work: UnitOfWorkFactory, reads: StoredVideoReads
) -> None:
    video, other = make_video(), make_video()
    older = make_job(video=video, status=JobStatus.SUCCEEDED, created_at=NOW)
    newer = make_job(video=video, status=JobStatus.RUNNING, created_at=NOW + timedelta(seconds=1))
    await keep(unit_of_work, video, other, older, newer, make_segment(job=older, status=SegmentStatus.DONE))
    segments = [make_segment(job=newer, status=SegmentStatus.DONE), make_segment(job=newer, index=1)]
    await keep(unit_of_work, *segments)

    async with unit_of_work() as uow:
        expected = await uow.jobs.progress(TENANT, newer.id)
    found, alone = await asyncio.gather(reads.video(TENANT, video.id), reads.video(TENANT, other.id))

    assert found is not None
    assert found.job is not None
    assert (found.job.job.id, found.job.progress) == (newer.id, expected)
    assert expected.segments_done == 1
    assert alone is not None
    assert alone.job is None


async def test_another_tenant_finds_nothing_even_in_the_same_statement(
    unit_of_work: UnitOfWorkFactory, reads: StoredVideoReads
) -> None:
    video = make_video()
    job = make_job(video=video)
    await keep(unit_of_work, video, job)

    ours, theirs, nobodys = await asyncio.gather(
        reads.video(TENANT, video.id), reads.video(STRANGER, video.id), reads.video(TENANT, VideoId(uuid4()))
    )
    our_job, their_job, no_job = await asyncio.gather(
        reads.job(TENANT, job.id), reads.job(STRANGER, job.id), reads.job(TENANT, JobId(uuid4()))
    )

    assert (ours is None, theirs, nobodys) == (False, None, None)
    assert (our_job is None, their_job, no_job) == (False, None, None)


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
