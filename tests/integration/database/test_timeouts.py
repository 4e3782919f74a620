"""Nobody waits for ever, and nobody keeps others waiting: what the server is told to hold each connection to."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.contracts.stored import keep
from tests.support.factories import NOW, make_item, make_job, make_video
from tests.support.fakes import FakeClock
from vidintel.application.jobs.work import FINISH, lock_video_and_job
from vidintel.application.ports import SILENT, UnitOfWork, UnitOfWorkFactory
from vidintel.application.videos.retention import ApplyRetention
from vidintel.application.work.handler import WorkHandler, WorkHandlers
from vidintel.application.work.lease import Lease
from vidintel.application.work.reclaim import ReclaimWork
from vidintel.application.work.setbacks import RecordSetback
from vidintel.domain.analysis import JobStage, JobStatus
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.retention import RetentionRules
from vidintel.domain.video import Failure, Video, VideoStatus
from vidintel.domain.work import RetryPolicy, WorkItem
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.read_model.connection import ReadConnection
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.settings.model import DatabaseSettings

IMPATIENT = DatabaseSettings(
    pool_size=1,
    max_overflow=0,
    pool_timeout_s=0.05,
    statement_timeout_s=21,
    lock_timeout_s=0.05,
    idle_in_transaction_timeout_s=0.05,
)
NAMES = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")


async def test_the_settings_are_those_of_every_connection(database_url: str) -> None:
    engine = create_engine(database_url, IMPATIENT)
    async with engine.connect() as connection:
        shown = [await connection.scalar(text(f"SHOW {name}")) for name in NAMES]
    await engine.dispose()
    assert shown == ["21s", "50ms", "50ms", "UTC"]

    reading = ReadConnection(database_url, IMPATIENT)
    shown = [(await reading.fetch(f"SHOW {name}"))[0][0] for name in (*NAMES, "transaction_read_only")]
    await reading.close()
    assert shown == ["21s", "50ms", "50ms", "UTC", "on"]


async def test_a_transaction_that_stays_idle_is_ended_by_the_server(
    database_url: str, unit_of_work: UnitOfWorkFactory
) -> None:
    video = make_video()
    engine = create_engine(database_url, IMPATIENT)

    async def idle(observer: AsyncEngine) -> None:
        async with SqlUnitOfWork(create_session_factory(observer)) as uow:
            await uow.videos.add(video)
            await gone(database_url, "idle in transaction")
            await uow.videos.get(video.tenant_id, video.id)
            await uow.commit()

    with pytest.raises(ServiceUnavailable) as ended:
        await idle(engine)
    assert ended.value.retryable
    await engine.dispose()
    async with unit_of_work() as uow:
        assert await uow.videos.get(video.tenant_id, video.id) is None


async def gone(database_url: str, state: str) -> None:
    """Wait until no connection to the database is in ``state``."""
    engine = create_engine(database_url, DatabaseSettings(), pooled=False)
    query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = :state")
    try:
        async with asyncio.timeout(30):
            while True:
                async with engine.connect() as connection:
                    if not await connection.scalar(query, {"state": state}):
                        return
    finally:
        await engine.dispose()


async def test_who_waits_too_long_for_a_lock_is_told_so(database_url: str, unit_of_work: UnitOfWorkFactory) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    engine = create_engine(database_url, IMPATIENT)

    async def wait_for(locked: Video) -> None:
        async with SqlUnitOfWork(create_session_factory(engine)) as uow:
            await uow.videos.get_for_update(locked.tenant_id, locked.id)

    async with unit_of_work() as holder:
        await holder.videos.get_for_update(video.tenant_id, video.id)
        with pytest.raises(ServiceUnavailable, match="busy"):
            await wait_for(video)
    await engine.dispose()


async def test_an_expired_video_that_somebody_holds_keeps_no_other_from_being_removed(
    database_url: str, unit_of_work: UnitOfWorkFactory
) -> None:
    held, other = make_video(), make_video()
    await keep(unit_of_work, held)
    await keep(unit_of_work, other)
    clock = FakeClock()
    clock.advance(86_400 + (max(held.created_at, other.created_at) - clock.now()).total_seconds())
    engine = create_engine(database_url, IMPATIENT)
    sessions = create_session_factory(engine)
    apply = ApplyRetention(lambda: SqlUnitOfWork(sessions), clock, lambda: RetentionRules(timedelta(days=1)))
    assert await apply() == 0, "it brings them in line with the rules first"

    async with unit_of_work() as holder:
        await holder.videos.get_for_update(held.tenant_id, held.id)
        assert await apply() == 1
    assert await apply() == 1
    await engine.dispose()


class LocksItsJob(WorkHandler[None]):
    kind = FINISH

    async def begin(self, uow: UnitOfWork, item: WorkItem) -> None:
        raise AssertionError("nothing is claimed here")

    async def run(self, subject: None, lease: Lease) -> object:
        raise AssertionError("nothing is run here")

    async def give_up(self, uow: UnitOfWork, item: WorkItem, failure: Failure, now: datetime) -> None:
        await lock_video_and_job(uow, item)


@pytest.mark.parametrize("state", ["53000", "53100", "53200", "53400"])
async def test_a_server_that_is_out_of_a_resource_is_an_outage(
    unit_of_work: UnitOfWorkFactory, engine: AsyncEngine, state: str
) -> None:
    async def write() -> None:
        async with SqlUnitOfWork(create_session_factory(engine)) as uow:
            await uow.videos.add(make_video())
            await uow.commit()

    refuse = f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '{state}'; END $$"
    async with engine.begin() as connection:
        await connection.execute(text(refuse))
        await connection.execute(
            text("CREATE TRIGGER refuse BEFORE INSERT ON videos FOR EACH ROW EXECUTE FUNCTION refuse()")
        )

    with pytest.raises(ServiceUnavailable, match="out of a resource") as refused:
        await write()

    assert not refused.value.contended
    assert refused.value.retry_after_s > 5


async def test_what_somebody_else_has_locked_does_not_keep_the_sweep_from_the_rest(
    database_url: str, unit_of_work: UnitOfWorkFactory
) -> None:
    ending, other = (make_video(status=VideoStatus.PROCESSING) for _ in range(2))
    jobs = [make_job(video=video, status=JobStatus.RUNNING, stage=JobStage.FINISH) for video in (ending, other)]
    await keep(unit_of_work, ending, other, *jobs)
    blocked, dropped = (make_item(kind=FINISH, subject_id=job.id, group_id=job.id, owner="dead") for job in jobs)
    async with unit_of_work() as uow:
        await uow.work_items.add_all([blocked, dropped])
        await uow.commit()
    engine = create_engine(database_url, IMPATIENT)
    sessions = create_session_factory(engine)
    clock = FakeClock(NOW + timedelta(minutes=1))
    policy = RetryPolicy(max_interruptions=1)  # the first death is one too many: giving up takes locks
    setbacks = RecordSetback(lambda: SqlUnitOfWork(sessions), clock, WorkHandlers([LocksItsJob()]), policy, SILENT)
    sweep = ReclaimWork(lambda: SqlUnitOfWork(sessions), clock, setbacks, SILENT)

    async with unit_of_work() as holder:
        await holder.videos.get_for_update(ending.tenant_id, ending.id)
        assert await sweep() == 1
    assert await sweep() == 1
    assert await sweep() == 0
    await engine.dispose()


async def test_who_asks_for_too_much_is_told_so(database_url: str) -> None:
    engine = create_engine(database_url, DatabaseSettings(statement_timeout_s=0.05))

    async def think() -> None:
        async with SqlUnitOfWork(create_session_factory(engine)), engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(ServiceUnavailable, match="busy"):
        await think()
    await engine.dispose()

    reading = ReadConnection(database_url, DatabaseSettings(statement_timeout_s=0.05))
    with pytest.raises(ServiceUnavailable, match="busy"):
        await reading.fetch("SELECT pg_sleep(60)")
    await reading.close()


async def test_a_read_that_the_server_does_not_end_is_asked_again_on_another_connection(database_url: str) -> None:
    reading = ReadConnection(database_url, DatabaseSettings(statement_timeout_s=0.05))
    await reading.fetch("SET statement_timeout = 0")

    with pytest.raises(ServiceUnavailable, match="busy"):  # what the limit of the new connection says
        await reading.fetch("SELECT pg_sleep(600)")
    await reading.close()


async def test_who_waits_too_long_for_a_connection_is_told_so(database_url: str) -> None:
    engine = create_engine(database_url, IMPATIENT)
    video = make_video()

    async def read() -> None:
        async with SqlUnitOfWork(create_session_factory(engine)) as uow:
            await uow.videos.get(video.tenant_id, video.id)

    async with engine.connect():
        with pytest.raises(ServiceUnavailable, match="busy"):
            await read()
    await engine.dispose()


async def test_sessions_for_queries_read_and_are_refused_every_change(
    engine: AsyncEngine, unit_of_work: UnitOfWorkFactory
) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    sessions = create_session_factory(engine, read_only=True)

    async def write() -> None:
        async with SqlUnitOfWork(sessions) as uow:
            await uow.videos.add(make_video())

    async with SqlUnitOfWork(sessions) as uow:
        assert await uow.videos.get(video.tenant_id, video.id) is not None
    with pytest.raises(DBAPIError, match="read-only transaction"):
        await write()
    await keep(unit_of_work, make_video())  # the same connection, for others, can write
