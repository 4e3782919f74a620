"""Two processes' worth of wiring on one database: what is written in one is seen by the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.contracts.stored import keep
from tests.support.factories import LEASE, NOW, TENANT, USER, make_frame, make_item, make_job, make_segment, make_video
from tests.support.postgres import administer
from vidintel.application.ports import JobReport, UnitOfWorkFactory, VideoReport
from vidintel.application.result import Err, Ok
from vidintel.application.videos.library import DeleteVideo, GetVideo, UpdateVideo, VideoChanges
from vidintel.container import Container, create_container
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.errors import VideoNotFound
from vidintel.domain.identity import Principal, Role, TenantId
from vidintel.domain.segment import SegmentStatus
from vidintel.domain.video import Video
from vidintel.infrastructure.clock import SystemClock
from vidintel.settings.model import CacheSettings, Settings

ANN = Principal(USER, TENANT, Role.ADMIN)
STRANGER = TenantId("org_other")
LONG_S = 30.0
"""A time-out that means failure, not speed."""
NEVER_S = 60.0
"""No answer gets old by itself within a test."""


@asynccontextmanager
async def process(database_url: str) -> AsyncIterator[Container]:
    """The wiring of an API process, listening for changes."""
    settings = Settings(cache=CacheSettings(ttl_s=NEVER_S))
    container = create_container(settings, database_url)
    try:
        async with container.change_listener().listening():
            yield container
    finally:
        await container.documents().close()
        await container.engine().dispose()


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Container]:
    async with process(database_url) as container:
        yield container


@pytest.fixture
async def there(database_url: str) -> AsyncIterator[Container]:
    async with process(database_url) as container:
        yield container


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONG_S):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.005)


async def video_at(container: Container, video: Video) -> VideoReport:
    found = await container.video_reads().video(TENANT, video.id)
    assert found is not None
    return found


async def job_at(container: Container, job: AnalysisJob) -> JobReport:
    found = await container.video_reads().job(TENANT, job.id)
    assert found is not None
    return found


async def stored(unit_of_work: UnitOfWorkFactory) -> tuple[Video, AnalysisJob]:
    video = make_video()
    job = make_job(video=video, status=JobStatus.RUNNING)
    await keep(unit_of_work, video, job)
    return video, job


async def test_an_answer_is_read_once(here: Container, unit_of_work: UnitOfWorkFactory) -> None:
    video, _ = await stored(unit_of_work)
    await eventually(lambda: quiet(here))

    first = await video_at(here, video)

    assert await video_at(here, video) is first
    assert here.cache_statistics().counts["video", "local_hit"] == 1


async def quiet(container: Container) -> bool:
    """Whether the notifications of all that was stored so far have arrived."""
    before = container.changes().now
    await asyncio.sleep(0.05)
    return bool(before == container.changes().now)


async def test_what_is_changed_here_is_seen_here_at_once_and_there_soon(
    here: Container, there: Container, unit_of_work: UnitOfWorkFactory
) -> None:
    video, _ = await stored(unit_of_work)
    await video_at(here, video), await video_at(there, video)

    update = UpdateVideo(here.uow, SystemClock())
    assert isinstance(await update(ANN, video.id, VideoChanges(frozenset({"title"}), title="New")), Ok)

    assert (await video_at(here, video)).video.title == "New"

    async def has_arrived() -> bool:
        return (await video_at(there, video)).video.title == "New"

    await eventually(has_arrived)


async def test_what_is_deleted_here_is_gone_here_at_once_and_there_soon(
    here: Container, there: Container, unit_of_work: UnitOfWorkFactory
) -> None:
    video, job = await stored(unit_of_work)
    for container in (here, there):
        await video_at(container, video)
        await job_at(container, job)

    assert isinstance(await DeleteVideo(here.uow, SystemClock())(ANN, video.id), Ok)

    match await GetVideo(here.video_reads())(ANN, video.id):
        case Err(error):
            assert isinstance(error, VideoNotFound)
        case Ok():
            pytest.fail("it is still there")
    assert await here.video_reads().job(TENANT, job.id) is None

    async def is_gone() -> bool:
        reads = there.video_reads()
        return await reads.video(TENANT, video.id) is None and await reads.job(TENANT, job.id) is None

    await eventually(is_gone)


async def test_what_one_tenant_asked_for_is_not_there_for_another(
    here: Container, unit_of_work: UnitOfWorkFactory
) -> None:
    video, job = await stored(unit_of_work)
    await video_at(here, video)
    await job_at(here, job)

    assert await here.video_reads().video(STRANGER, video.id) is None
    assert await here.video_reads().job(STRANGER, job.id) is None


async def test_a_video_that_changes_hands_is_gone_for_its_first_owner(
    here: Container, unit_of_work: UnitOfWorkFactory, database_url: str
) -> None:
    """Nothing here does that, but whoever does, in the database itself, is believed."""
    video, job = await stored(unit_of_work)
    await video_at(here, video)
    await job_at(here, job)

    moved = "UPDATE {} SET tenant_id = 'org_other'"
    await asyncio.to_thread(administer, database_url, moved.format("videos"), moved.format("jobs"))

    async def has_moved() -> bool:
        reads = here.video_reads()
        return await reads.video(TENANT, video.id) is None and await reads.job(TENANT, job.id) is None

    await eventually(has_moved)
    assert await here.video_reads().video(STRANGER, video.id) is not None


async def test_progress_of_a_worker_is_seen(here: Container, unit_of_work: UnitOfWorkFactory) -> None:
    """Every step of a segment's life moves what is shown of the job and of the video."""
    video, job = await stored(unit_of_work)
    segment = make_segment(job=job)

    async def shown() -> tuple[int, int, int]:
        progress, alone = (await video_at(here, video)).job, await job_at(here, job)
        assert progress is not None
        seen = {
            (each.segments_total, each.segments_done, each.frames_done) for each in (progress.progress, alone.progress)
        }
        return seen.pop() if len(seen) == 1 else (-1, -1, -1)

    async def comes_to(expected: tuple[int, int, int]) -> None:
        async def has_come() -> bool:
            return await shown() == expected

        await eventually(has_come)

    assert await shown() == (0, 0, 0)
    await keep(unit_of_work, segment)
    await comes_to((1, 0, 0))
    async with unit_of_work() as uow:
        await uow.segments.save_progress(segment.id, 7)
        await uow.commit()
    await comes_to((1, 0, 7))
    segment.complete(10)
    async with unit_of_work() as uow:
        await uow.segments.save(segment)
        await uow.detections.add_all(segment, video.id, [make_frame(0)])
        await uow.commit()
    assert segment.status is SegmentStatus.DONE
    await comes_to((1, 1, 10))


async def test_a_heartbeat_that_shows_nothing_tells_nobody(here: Container, unit_of_work: UnitOfWorkFactory) -> None:
    video, job = await stored(unit_of_work)
    await eventually(lambda: quiet(here))
    before = here.changes().now

    async with unit_of_work() as uow:
        item = make_item(subject_id=job.id, group_id=job.id, owner="worker-1")
        await uow.work_items.add_all([item])
        assert await uow.work_items.extend(item.id, item.work.token, NOW + LEASE)
        await uow.commit()
    async with unit_of_work() as uow:
        video.edit(NOW, fields=frozenset({"title"}), title="New")
        await uow.videos.save(video)
        await uow.commit()

    async def has_heard() -> bool:
        return bool(here.changes().now > before)

    await eventually(has_heard)
    assert here.changes().now == before + 1


async def test_a_new_job_and_its_end_are_seen(here: Container, unit_of_work: UnitOfWorkFactory) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    assert (await video_at(here, video)).job is None
    job = make_job(video=video)
    await keep(unit_of_work, job)

    async def shows(status: JobStatus) -> bool:
        report = (await video_at(here, video)).job
        return report is not None and report.job.id == job.id and report.job.status is status

    await eventually(lambda: shows(JobStatus.QUEUED))
    job.cancel(NOW)
    async with unit_of_work() as uow:
        await uow.jobs.save(job)
        await uow.commit()
    await eventually(lambda: shows(JobStatus.CANCELLED))


async def test_what_is_rolled_back_tells_nobody(here: Container, unit_of_work: UnitOfWorkFactory) -> None:
    video, _ = await stored(unit_of_work)
    await eventually(lambda: quiet(here))
    kept = await video_at(here, video)

    async with unit_of_work() as uow:
        await uow.videos.delete(TENANT, video.id)

    assert await quiet(here)
    assert await video_at(here, video) is kept


async def test_changes_while_disconnected_are_not_missed(
    here: Container, unit_of_work: UnitOfWorkFactory, database_url: str
) -> None:
    video, _ = await stored(unit_of_work)
    await video_at(here, video)
    cut = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'vidintel-changes'"

    await asyncio.to_thread(
        administer, database_url, cut, f"UPDATE videos SET title = 'Meanwhile' WHERE id = '{video.id}'"
    )

    async def shows_the_change() -> bool:
        return (await video_at(here, video)).video.title == "Meanwhile"

    await eventually(shows_the_change)

    async def keeps_again() -> bool:
        return await video_at(here, video) is await video_at(here, video)

    async def is_connected_again() -> bool:
        return bool(here.changes().is_connected)

    await eventually(is_connected_again)
    await eventually(keeps_again)


async def test_a_herd_from_everywhere_is_one_statement(here: Container, unit_of_work: UnitOfWorkFactory) -> None:
    video, _ = await stored(unit_of_work)
    await eventually(lambda: quiet(here))

    reports = await asyncio.gather(*(video_at(here, video) for _ in range(200)))

    assert len({id(report) for report in reports}) == 1
    assert here.cache_statistics().counts["video", "miss"] == 1


async def test_without_a_listener_answers_come_from_the_database(
    database_url: str, unit_of_work: UnitOfWorkFactory
) -> None:
    """As in a process that does not listen, or cannot."""
    video, _ = await stored(unit_of_work)
    container = create_container(Settings(), database_url)
    try:
        await video_at(container, video)
        await asyncio.to_thread(administer, database_url, "UPDATE videos SET title = 'New'")
        assert (await video_at(container, video)).video.title == "New"
    finally:
        await container.documents().close()
        await container.engine().dispose()
