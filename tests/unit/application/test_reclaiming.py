"""The sweep picks up what dead workers held, whatever state it is in."""

from tests.unit.application.world import LEASE_S, POLICY, World
from vidintel.domain.analysis import AnalysisJob, JobStage


async def die_planning(world: World, job: AnalysisJob, *, attempts: int) -> None:
    """What a worker leaves behind that was killed in its attempt number ``attempts``."""
    async with world.database.unit_of_work() as uow:
        video = await uow.videos.get_for_update(job.tenant_id, job.video_id)
        held = await uow.jobs.get_for_update(job.tenant_id, job.id)
        assert video is not None
        assert held is not None
        for _ in range(attempts):
            held.claim(JobStage.PLAN, "dead", world.clock.now(), world.rules.lease)
            world.clock.advance(LEASE_S)
        video.begin_processing(world.clock.now())
        await uow.videos.save(video)
        await uow.jobs.save(held)
        await uow.commit()


async def test_a_job_that_cannot_be_failed_does_not_keep_others_from_being_freed() -> None:
    world = World()
    stuck, other = [(await world.registered()).job.job for _ in range(2)]
    await die_planning(world, stuck, attempts=POLICY.max_attempts)
    async with world.database.unit_of_work() as uow:  # rows that do not fit together: no state machine made them
        video = await uow.videos.get_for_update(stuck.tenant_id, stuck.video_id)
        assert video is not None
        video.complete(stuck.id, world.clock.now())
        await uow.videos.save(video)
        await uow.commit()
    await die_planning(world, other, attempts=1)

    assert await world.reclaim() == 1
    assert not (await world.job(other)).work.is_held
