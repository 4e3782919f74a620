"""Answers: pages that stay with their job, and pictures of the moment that was looked at."""

from typing import Any

import pytest

from tests.support.factories import FAILURE
from tests.unit.application.world import Incoming, World, error_of, principal, value_of
from vidintel.application.jobs.failure import fail_job
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.ports import DetectionFilter, Page, TrackFilter
from vidintel.application.queries.detections import ListDetections
from vidintel.application.queries.frames import RenderFrame
from vidintel.application.queries.tracks import ListTracks
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import JobNotFound, ValidationError
from vidintel.domain.tracking import TrackedFrame

LISTS = {"detections": (ListDetections, DetectionFilter()), "tracks": (ListTracks, TrackFilter())}


async def analysed() -> tuple[World, AnalysisJob]:
    """One whose pages of tracks and of detections are more than one."""
    world = World()
    job = (await world.registered()).job.job
    await world.work_off()
    return world, job


async def page_of(world: World, job: AnalysisJob, listed: str, cursor: str | None, *, named: bool = False) -> Any:
    use_case, everything = LISTS[listed]
    ask: Any = use_case(world.database.unit_of_work)
    return await ask(principal(), job.video_id, job.id if named else None, everything, Page(1, cursor))


async def test_pages_stay_with_the_job_of_the_first_whichever_succeeds_meanwhile() -> None:
    world, job = await analysed()
    first = value_of(await page_of(world, job, "detections", None))
    world.clock.advance(60)
    newer = value_of(await world.request(principal(), job.video_id, SpecRequest(min_confidence=0.5))).job
    await world.work_off()
    assert value_of(await page_of(world, job, "detections", None)).job.id == newer.id

    second = value_of(await page_of(world, job, "detections", first.next_cursor))

    assert (first.job.id, second.job.id) == (job.id, job.id)
    assert [first.items[0].frame, second.items[0].frame] == [0, 10]


async def test_the_newest_job_answers_until_one_succeeds_and_then_the_one_that_succeeded_last() -> None:
    world = World()
    first = (await world.registered()).job.job

    async def answering() -> JobId:
        job_id: JobId = value_of(await page_of(world, first, "detections", None)).job.id
        return job_id

    async def fail(job: AnalysisJob) -> None:
        value_of(await world.plan(job))
        async with world.database.unit_of_work() as uow:
            video = await uow.videos.get_for_update(job.tenant_id, job.video_id)
            failing = await uow.jobs.get_for_update(job.tenant_id, job.id)
            assert video is not None
            assert failing is not None
            await fail_job(uow, video, failing, FAILURE, world.clock.now())
            await uow.commit()

    async def request() -> AnalysisJob:
        world.clock.advance(60)
        return value_of(await world.request(principal(), first.video_id, SpecRequest())).job

    assert await answering() == first.id
    await fail(first)
    second = await request()
    assert await answering() == second.id
    await world.work_off()
    assert await answering() == second.id
    third = await request()
    assert await answering() == second.id, "the third has found nothing yet"
    await fail(third)
    assert await answering() == second.id
    value_of(await world.retry(principal(), first.id))
    assert await answering() == second.id
    await world.work_off()
    assert await answering() == first.id, "it is the oldest, and it succeeded last"


@pytest.mark.parametrize("listed", LISTS)
async def test_a_cursor_of_another_job_is_refused(listed: str) -> None:
    world, job = await analysed()
    first = value_of(await page_of(world, job, "detections", None))
    newer = value_of(await world.request(principal(), job.video_id, SpecRequest())).job

    for cursor in (first.next_cursor, "nonsense", "nonsense.WzAsMF0", f"{job.id.hex}.nonsense"):
        refused = error_of(await page_of(world, newer, listed, cursor, named=True))
        assert isinstance(refused, ValidationError)
        assert refused.field == "cursor"


@pytest.mark.parametrize("tenant", ["org_acme", "org_mallory"])
@pytest.mark.parametrize("listed", LISTS)
async def test_a_cursor_opens_no_job_of_another_video(listed: str, tenant: str) -> None:
    world, job = await analysed()
    first = value_of(await page_of(world, job, "detections", None))
    caller = principal(tenant=tenant)
    other = value_of(await world.register(caller, Incoming())).job.job

    use_case, everything = LISTS[listed]
    ask: Any = use_case(world.database.unit_of_work)
    opened = await ask(caller, other.video_id, None, everything, Page(1, first.next_cursor))

    assert isinstance(error_of(opened), JobNotFound)


class RecordingRenderer:
    def __init__(self) -> None:
        self.asked: list[tuple[float, float | None]] = []

    async def jpeg(self, key: str, time_s: float, seen: TrackedFrame | None) -> bytes:
        self.asked.append((round(time_s, 6), None if seen is None else seen.frame.time_s))
        return b"jpeg"


@pytest.mark.parametrize(
    ("asked_s", "shown"),
    [
        (0.4, (0.4, 0.4)),
        (0.45, (0.4, 0.4)),
        (0.31, (0.4, 0.4)),
        (0.2, (0.22, None)),  # the frame of 0.2 s, in which nothing was seen, though at 0 and 0.4 s there was
        (0.52, (0.62, None)),
        (3.99, (3.99, None)),  # the video ends before the next moment
    ],
)
async def test_boxes_are_those_of_the_nearest_moment_that_was_looked_at(
    asked_s: float, shown: tuple[float, float | None]
) -> None:
    world, job = await analysed()
    renderer = RecordingRenderer()

    value_of(await RenderFrame(world.database.unit_of_work, renderer)(principal(), job.video_id, asked_s, True, None))

    assert renderer.asked == [shown]
