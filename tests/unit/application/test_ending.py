"""However a job ends, its end is told once; and once more when a person has it tried again."""

from tests.support.factories import NOW, make_job
from tests.unit.application.world import POLICY, World, principal, value_of
from vidintel.application.jobs.work import SEGMENT
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.errors import UnreadableVideo
from vidintel.domain.events import Event, EventType


def told(world: World, job: AnalysisJob) -> list[tuple[object, str]]:
    """The run and the type of each event that says that ``job`` ended."""
    return [
        (event.payload["run_number"], event.type)
        for event in world.database.outbox.values()
        if event.subject.id == job.id and event.type != EventType.JOB_STARTED
    ]


def break_the_video() -> None:
    raise UnreadableVideo("It cannot be decoded.")


async def test_a_job_that_is_under_way_has_nothing_to_tell() -> None:
    world = World()
    job = await world.planned()

    assert told(world, job) == []


async def test_success_is_told() -> None:
    world = World()
    job = (await world.registered()).job.job
    await world.work_off()

    assert told(world, job) == [(1, EventType.JOB_SUCCEEDED)]


async def test_being_cancelled_is_told() -> None:
    world = World()
    job = await world.planned()
    value_of(await world.cancel(principal(), job.id))
    await world.work_off()

    assert told(world, job) == [(1, EventType.JOB_CANCELLED)]


async def test_a_failure_is_told_and_so_is_the_end_of_the_retry() -> None:
    world = World()
    world.media.on_plan = break_the_video
    job = (await world.registered()).job.job
    await world.work_off()
    assert told(world, job) == [(1, EventType.JOB_FAILED)]

    world.media.on_plan = lambda: None
    value_of(await world.retry(principal(), job.id))
    await world.work_off()

    assert told(world, job) == [(1, EventType.JOB_FAILED), (2, EventType.JOB_SUCCEEDED)]


async def test_giving_up_work_whose_worker_dies_each_time_is_told() -> None:
    world = World()
    job = await world.planned()
    item_id = world.item(SEGMENT, (await world.segments())[0].id)
    for _ in range(POLICY.max_deaths):
        await world.die_with(item_id)
        assert await world.reclaim.died_alone("dead") == 1

    assert told(world, job) == [(1, EventType.JOB_FAILED)]


def test_the_event_of_one_end_is_always_the_same_one() -> None:
    job = make_job(status=JobStatus.FAILED)
    first = Event.job_ended(job, NOW)
    assert first == Event.job_ended(job, NOW)
    assert first.payload["failure"] == {"code": "unreadable_video", "detail": "The video cannot be decoded."}

    job.retry()
    job.cancel(NOW)

    assert Event.job_ended(job, NOW).id != first.id
