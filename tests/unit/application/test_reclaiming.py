"""The sweep picks up what dead workers held, whatever state it is in."""

from tests.unit.application.world import POLICY, World
from vidintel.application.jobs.work import PLAN
from vidintel.domain.work import Setback


async def test_a_job_that_cannot_be_failed_does_not_keep_others_from_being_freed() -> None:
    world = World()
    stuck, other = [(await world.registered()).job.job for _ in range(2)]
    await world.die_with(world.item(PLAN, stuck.id))
    await world.die_with(world.item(PLAN, other.id))
    async with world.database.unit_of_work() as uow:
        # Rows that do not fit together: no state machine made them. And one death more is one too many.
        video = await uow.videos.get_for_update(stuck.tenant_id, stuck.video_id)
        item = await uow.work_items.get(world.item(PLAN, stuck.id))
        assert video is not None
        assert item is not None
        video.complete(stuck.id, world.clock.now())
        await uow.videos.save(video)
        for _ in range(POLICY.max_interruptions - 1):
            token = item.work.token
            assert item.set_back(token, Setback.INTERRUPTED, world.clock.now(), POLICY)
            await uow.work_items.save(item, token)
            token = item.work.token
            item.claim("dead", world.clock.now(), world.rules.lease)
            await uow.work_items.save(item, token)
        await uow.commit()

    assert await world.reclaim(gone="dead") == 1
    assert not world.work_of(world.item(PLAN, other.id)).is_held
    assert world.work_of(world.item(PLAN, stuck.id)).is_held
