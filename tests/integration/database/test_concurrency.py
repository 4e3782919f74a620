"""What only a real server can show: locks, notifications, and who gets what at the same moment."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.contracts.stored import frames_of, keep
from tests.support.factories import NOW, TENANT, make_frame, make_item, make_job, make_segment, make_video
from tests.support.postgres import administer
from vidintel.application.jobs.work import SEGMENT
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.detection import FrameDetections
from vidintel.domain.errors import JobAlreadyActive, ServiceUnavailable
from vidintel.domain.video import Video, VideoStatus
from vidintel.domain.work import WorkItem
from vidintel.infrastructure.database.engine import check_database, create_engine
from vidintel.infrastructure.database.repositories.work_items import DUE, LOOKAHEAD
from vidintel.infrastructure.database.work_notifications import PostgresWorkNotifications
from vidintel.settings.model import DatabaseSettings

LATER = NOW + timedelta(minutes=5)
LONG_S = 60.0
"""A time-out that means failure, not speed."""


async def analysed(unit_of_work: UnitOfWorkFactory) -> tuple[Video, AnalysisJob]:
    video = make_video()
    job = make_job(video=video, status=JobStatus.RUNNING)
    await keep(unit_of_work, video, job)
    return video, job


async def queued(unit_of_work: UnitOfWorkFactory, count: int) -> list[WorkItem]:
    group = uuid4()
    items = [make_item(group_id=group, ordinal=number) for number in range(count)]
    async with unit_of_work() as uow:
        await uow.work_items.add_all(items)
        await uow.commit()
    return items


async def test_two_dispatchers_at_once_never_take_the_same_work(unit_of_work: UnitOfWorkFactory) -> None:
    await queued(unit_of_work, 20)

    async with unit_of_work() as first, unit_of_work() as second:
        ours = await first.work_items.due(NOW, 8, LATER, kinds=[SEGMENT])
        theirs = await second.work_items.due(NOW, 8, LATER, kinds=[SEGMENT])
        await first.commit()
        await second.commit()

    assert len({work.id for work in (*ours, *theirs)}) == 16


async def test_many_dispatchers_share_out_everything_once(unit_of_work: UnitOfWorkFactory) -> None:
    await queued(unit_of_work, 60)

    async def drain() -> list[object]:
        taken: list[object] = []
        while True:
            async with unit_of_work() as uow:
                works = await uow.work_items.due(NOW, 4, LATER, kinds=[SEGMENT])
                await uow.commit()
            if not works:
                return taken
            taken += [work.id for work in works]

    shares = await asyncio.gather(*(drain() for _ in range(6)))

    taken = [work_id for share in shares for work_id in share]
    assert len(taken) == len(set(taken)) == 60


async def test_an_item_that_a_worker_is_claiming_is_skipped(unit_of_work: UnitOfWorkFactory) -> None:
    locked, free = await queued(unit_of_work, 2)

    async with unit_of_work() as worker, unit_of_work() as dispatcher:
        await worker.work_items.claim(locked.id, "worker-1", NOW, LATER)
        taken = await dispatcher.work_items.due(NOW, 5, LATER, kinds=[SEGMENT])

    assert [work.id for work in taken] == [free.id]


async def test_of_two_workers_that_claim_an_item_at_once_one_gets_it(unit_of_work: UnitOfWorkFactory) -> None:
    (item,) = await queued(unit_of_work, 1)

    async def claim(owner: str) -> bool:
        async with unit_of_work() as uow:
            claimed = await uow.work_items.claim(item.id, owner, NOW, LATER)
            await uow.commit()
            return claimed is not None

    assert sorted(await asyncio.gather(*(claim(f"worker-{number}") for number in range(5)))) == [False] * 4 + [True]


async def test_objects_that_another_sweep_has_locked_are_skipped(unit_of_work: UnitOfWorkFactory) -> None:
    async with unit_of_work() as uow:
        for key in "abc":
            await uow.object_deletions.schedule(key, NOW)
        await uow.commit()

    async with unit_of_work() as first, unit_of_work() as second:
        assert await first.object_deletions.take_due(NOW, 2) == ["a", "b"]
        assert await second.object_deletions.take_due(NOW, 2) == ["c"]


async def test_of_two_jobs_added_at_once_one_is_refused(unit_of_work: UnitOfWorkFactory) -> None:
    video = make_video()
    await keep(unit_of_work, video)

    async def add() -> bool:
        try:
            await keep(unit_of_work, make_job(video=video))
        except JobAlreadyActive:
            return False
        return True

    assert sorted(await asyncio.gather(add(), add())) == [False, True]


async def test_the_current_job_of_a_video_is_one_of_its_own(unit_of_work: UnitOfWorkFactory) -> None:
    video, other = make_video(status=VideoStatus.COMPLETED), make_video()
    assert video.current_job_id is not None
    others_job = make_job(video=other, job_id=video.current_job_id)

    with pytest.raises(IntegrityError, match="fk_videos_current_job_id_jobs"):
        await keep(unit_of_work, video, other, others_job)


async def test_a_lock_for_an_update_lets_others_add_rows_that_refer_to_it(unit_of_work: UnitOfWorkFactory) -> None:
    video, job = await analysed(unit_of_work)

    async with unit_of_work() as uow, asyncio.timeout(LONG_S):
        await uow.videos.get_for_update(TENANT, video.id)
        await uow.jobs.get_for_update(TENANT, job.id)
        await keep(unit_of_work, make_segment(job=job), make_job(video=video, status=JobStatus.FAILED))


async def test_a_source_of_detections_that_fails_leaves_nothing_and_frees_the_connection(
    unit_of_work: UnitOfWorkFactory,
) -> None:
    video, job = await analysed(unit_of_work)

    def failing() -> Iterator[FrameDetections]:
        yield make_frame(0)
        raise ZeroDivisionError

    async with unit_of_work() as uow:
        with pytest.raises(ZeroDivisionError):
            await uow.detections.add_all(make_segment(job=job), video.id, failing())

    async with unit_of_work() as uow:
        assert await frames_of(uow, job) == []


@pytest.mark.parametrize("held", [0, 9_900])
async def test_taking_due_work_from_a_long_queue_reads_only_its_head(
    unit_of_work: UnitOfWorkFactory, engine: AsyncEngine, held: int
) -> None:
    await queued(unit_of_work, 10_000)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE work_items SET owner = 'w' WHERE ordinal < :held"), {"held": held})
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("VACUUM ANALYZE work_items")
        )

    values = {"now": NOW, "limit": 16, "candidates": LOOKAHEAD * 16, "redispatch_at": LATER, "kinds": [SEGMENT]}
    async with engine.connect() as connection:
        explained = await connection.execute(
            text(f"EXPLAIN (ANALYZE, FORMAT JSON) {DUE.text}"), values | {"tenants": [], "families": []}
        )
        plan = explained.scalar_one()[0]["Plan"]

    assert 16 <= items_read(plan) < 1_000


def items_read(node: dict[str, Any]) -> float:
    """How many rows of ``work_items`` a plan read, kept or not."""
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    is_read = node.get("Relation Name") == "work_items" and "Scan" in node["Node Type"]
    own = rows * node["Actual Loops"] if is_read else 0
    return float(own + sum(items_read(child) for child in node.get("Plans", [])))


async def test_a_committed_notification_arrives(unit_of_work: UnitOfWorkFactory, database_url: str) -> None:
    async with PostgresWorkNotifications(database_url).listening() as notifications, asyncio.timeout(LONG_S):
        await notifications.wait(LONG_S)  # the first connection counts as a ring
        async with unit_of_work() as uow:
            await uow.notify_work()
        waiting = asyncio.create_task(notifications.wait(LONG_S))
        await bell_has_nothing(waiting)
        async with unit_of_work() as uow:
            await uow.notify_work()
            await uow.commit()
        await waiting


async def bell_has_nothing(waiting: "asyncio.Task[None]") -> None:
    """Give a ring that should not come the chance to arrive."""
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()


async def test_notifications_resume_after_a_lost_connection(unit_of_work: UnitOfWorkFactory, database_url: str) -> None:
    name = f"notifications-{uuid4().hex}"
    async with (
        PostgresWorkNotifications(database_url, application_name=name).listening() as notifications,
        asyncio.timeout(LONG_S),
    ):
        await notifications.wait(LONG_S)
        await asyncio.to_thread(
            administer,
            database_url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'",
        )
        await notifications.wait(LONG_S)
        async with unit_of_work() as uow:
            await uow.notify_work()
            await uow.commit()
        await notifications.wait(LONG_S)


async def test_waiting_without_a_database_returns_after_its_timeout() -> None:
    url = "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"
    async with PostgresWorkNotifications(url).listening() as notifications:
        await notifications.wait(0.01)


async def test_a_database_that_answers_passes_its_check(engine: AsyncEngine) -> None:
    await check_database(engine)


async def test_a_database_that_is_away_fails_its_check() -> None:
    engine = create_engine("postgresql+asyncpg://nobody@127.0.0.1:1/nothing", DatabaseSettings())
    with pytest.raises(ServiceUnavailable):
        await check_database(engine)
    await engine.dispose()


async def test_sessions_are_in_utc_named_and_limited_in_time(database_url: str) -> None:
    engine = create_engine(database_url, DatabaseSettings(statement_timeout_s=0.05), application_name="checked")
    async with engine.connect() as connection:
        for setting, value in (("timezone", "UTC"), ("application_name", "checked"), ("statement_timeout", "50ms")):
            assert (await connection.execute(text(f"SHOW {setting}"))).scalar_one() == value
        with pytest.raises(DBAPIError, match="statement timeout"):
            await connection.execute(text("SELECT pg_sleep(60)"))
    await engine.dispose()
