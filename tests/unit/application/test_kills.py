"""Workers that are killed from outside cost a job time, and nothing else."""

import random

import pytest

from tests.unit.application.world import LEASE_S, World
from vidintel.application.jobs.work import FINISH, PLAN, SEGMENT
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.video import VideoStatus


async def assert_succeeded(world: World, job: AnalysisJob) -> None:
    assert (await world.job(job)).status is JobStatus.SUCCEEDED
    assert (await world.video(job)).status is VideoStatus.COMPLETED
    assert [frame.frame for frame in await world.detections(job)] == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]


@pytest.mark.parametrize("kills", [1, 3, 10, 50])
@pytest.mark.parametrize("kind", [PLAN, SEGMENT, FINISH])
async def test_however_often_its_workers_are_killed_from_outside_a_job_succeeds(kind: str, kills: int) -> None:
    world = World()
    job = (await world.registered()).job.job
    await world.work_off(until=kind)
    items = world.items_of(kind)
    assert items
    for _ in range(kills):
        for item_id in items:
            await world.die_with(item_id)
        world.clock.advance(LEASE_S)
        assert await world.reclaim() == len(items)
    assert {world.work_of(item_id).interruptions for item_id in items} == {kills}

    await world.work_off()

    await assert_succeeded(world, job)


@pytest.mark.parametrize("seed", range(5))
async def test_up_to_fifty_kills_at_random_moments_end_no_job(seed: int) -> None:
    world, dice = World(), random.Random(seed)
    job = (await world.registered()).job.job
    for kill in range(50):
        for _ in range(dice.choice([0, 0, 0, 0, 0, 0, 0, 1])):  # now and then a worker lives to the end of its work
            await world.work_off(rounds=1)
        if not (waiting := sorted(world.database.work_items)):
            break
        await world.die_with(dice.choice(waiting), f"worker-{kill % 2}{dice.choice(['', '/alone'])}")
        assert await world.reclaim(gone=f"worker-{kill % 2}") == 1

    await world.work_off()

    await assert_succeeded(world, job)
