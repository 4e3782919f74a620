"""Objects whose time has come are removed; those that cannot be do not keep others from it."""

import asyncio
from collections.abc import AsyncIterator

from tests.support.fakes import FakeObjectStorage
from tests.unit.application.world import Incoming, World, error_of, principal, value_of
from vidintel.domain.errors import DomainError, ServiceUnavailable, StorageError, StorageUnavailable


class Stubborn(FakeObjectStorage):
    """Does not remove what begins with ``stuck``; while ``down`` it removes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None
        self.open_while_removing: set[int] = set()
        self.down = False

    async def delete(self, key: str) -> None:
        assert self.world is not None
        self.open_while_removing.add(self.world.database.open)
        if self.down:
            raise StorageUnavailable
        if key.startswith("stuck"):
            raise StorageError("Permission denied.")
        await super().delete(key)


async def world_with(*keys: str) -> tuple[World, Stubborn]:
    storage = Stubborn()
    world = storage.world = World(storage=storage)
    async with world.database.unit_of_work() as uow:
        for key in keys:
            storage.objects[key] = b"bytes"
            await uow.object_deletions.schedule(key, world.clock.now())
            world.clock.advance(1)
        await uow.commit()
    return world, storage


async def test_objects_that_cannot_be_removed_do_not_starve_others() -> None:
    world, storage = await world_with(*(f"stuck-{number}" for number in range(150)), "wanted-away")

    for _ in range(2):
        await world.collect_garbage()

    assert "wanted-away" not in storage.objects
    assert len(world.database.object_deletions) == 150


async def test_no_transaction_is_open_while_objects_are_removed() -> None:
    world, storage = await world_with("a", "stuck", "b")

    assert await world.collect_garbage() == 2
    assert storage.open_while_removing == {0}


async def test_what_could_not_be_removed_is_removed_once_it_can_be() -> None:
    world, storage = await world_with("a", "b")
    storage.down = True
    assert await world.collect_garbage() == 0

    storage.down = False
    assert await world.collect_garbage() == 0, "not at once"
    world.clock.advance(61)
    assert await world.collect_garbage() == 2
    assert world.database.object_deletions == {}


async def test_much_is_removed_at_once_but_not_without_end() -> None:
    world, storage = await world_with(*(f"old-{number}" for number in range(5_100)))

    assert [await world.collect_garbage() for _ in range(2)] == [5_000, 100]
    assert storage.objects == {}


class SlowToArrive(Incoming):
    """Takes more than a day, in which the sweep comes by."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in super().chunks():
            yield chunk
        self._world.clock.advance(25 * 3600)
        await self._world.collect_garbage()


async def test_an_upload_that_was_swept_before_it_arrived_leaves_nothing_behind() -> None:
    world = World()

    assert isinstance(error_of(await world.register(principal(), SlowToArrive(world))), ServiceUnavailable)

    assert not world.storage.objects


async def test_pictures_that_were_swept_before_they_were_stored_leave_nothing_behind() -> None:
    """The worker's machine slept for a day while it took them; another one ended the job."""
    world = World()
    job = await world.planned()
    for segment in await world.segments():
        value_of(await world.run(segment))
    loop, taken = asyncio.get_running_loop(), list[str]()

    async def others() -> None:
        world.clock.advance(25 * 3600)
        await world.reclaim()
        await world.collect_garbage()

    def sleep_at_the_second(name: str) -> None:
        taken.append(name)
        if len(taken) == 2:
            asyncio.run_coroutine_threadsafe(others(), loop).result()

    world.snapshot_extractor.on_picture = sleep_at_the_second
    assert isinstance(error_of(await world.finish(job)), DomainError)
    world.snapshot_extractor.on_picture = lambda _: None
    world.clock.advance(60)
    await world.work_off()
    world.clock.advance(50 * 3600)
    await world.collect_garbage()

    async with world.database.unit_of_work() as uow:
        kept = set(await uow.snapshots.keys_of_video(job.tenant_id, job.video_id))
    content = (await world.video(job)).content
    assert content is not None
    assert len(kept) >= 2
    assert set(world.storage.objects) == kept | {content.key}
