"""Videos whose time is over go with everything that was made of them; rules may change meanwhile."""

from datetime import timedelta

from tests.unit.application.world import World
from vidintel.domain.analysis import AnalysisJob
from vidintel.domain.retention import RetentionRules

DAY_S = 86_400


async def analysed(world: World) -> AnalysisJob:
    job = (await world.registered()).job.job
    await world.work_off(rounds=50)
    return job


async def test_a_video_tells_from_the_beginning_when_it_expires() -> None:
    world = World(retention=RetentionRules(timedelta(days=30)))

    video = (await world.registered()).video

    assert video.expires_at == world.clock.now() + timedelta(days=30)


async def test_an_expired_video_goes_with_its_rows_and_objects_and_others_stay() -> None:
    world = World(retention=RetentionRules(timedelta(days=1)))
    old = await analysed(world)
    assert len(world.storage.objects) > 1, "the video and pictures"
    world.clock.advance(DAY_S / 2)
    new = await analysed(world)
    assert await world.apply_retention() == 0

    world.clock.advance(DAY_S / 2)
    assert await world.apply_retention() == 1
    await world.collect_garbage()

    assert set(world.database.videos) == {new.video_id}
    assert {job_id for job_id, *_ in world.database.detections} == {new.id}
    assert set(world.database.jobs) == {new.id}
    assert not any(str(old.video_id) in key for key in world.storage.objects)
    assert any(str(new.video_id) in key for key in world.storage.objects)


async def test_rules_that_change_hold_for_the_videos_that_are_there() -> None:
    world = World()
    job = await analysed(world)
    world.clock.advance(10 * DAY_S)
    assert await world.apply_retention() == 0

    world.retention = RetentionRules(timedelta(days=20))
    assert await world.apply_retention() == 0
    assert (await world.video(job)).expires_at == job.created_at + timedelta(days=20)

    world.retention = RetentionRules(timedelta(days=20), {job.tenant_id: timedelta(days=5)})
    assert [await world.apply_retention() for _ in range(2)] == [0, 1], "first in line with the rules, then deleted"


async def test_nothing_is_deleted_by_rules_that_are_not_in_force_any_more() -> None:
    world = World(retention=RetentionRules(timedelta(days=1)))
    await analysed(world)
    world.clock.advance(2 * DAY_S)
    world.retention = RetentionRules()

    assert [await world.apply_retention() for _ in range(3)] == [0, 0, 0]
    assert len(world.database.videos) == 1


async def test_videos_that_were_registered_by_old_rules_are_found_in_time() -> None:
    world = World(retention=RetentionRules(timedelta(days=1)))
    await world.apply_retention()
    elsewhere = World(world.database, world.storage, world.clock)  # has not heard of the rules yet
    await elsewhere.registered()

    world.clock.advance(2 * DAY_S)
    assert [await world.apply_retention() for _ in range(2)] == [0, 1]


async def test_each_call_does_a_bounded_amount() -> None:
    world = World(retention=RetentionRules(timedelta(days=1)))
    for _ in range(25):
        await world.registered()
    world.clock.advance(DAY_S)

    assert [await world.apply_retention() for _ in range(3)] == [20, 5, 0]


async def test_work_on_a_video_that_expires_is_not_written() -> None:
    world = World(retention=RetentionRules(timedelta(days=1)))
    job = await world.planned()
    segments = await world.segments()
    world.clock.advance(DAY_S)
    await world.apply_retention()

    await world.run(segments[0])
    await world.collect_garbage()

    assert world.database.detections == {}
    assert world.storage.objects == {}
    assert job.id not in world.database.jobs
