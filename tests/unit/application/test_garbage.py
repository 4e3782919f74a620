"""Objects whose time has come are removed; those that cannot be do not keep others from it."""

from tests.fakes import FakeObjectStorage
from tests.unit.application.world import World
from vidintel.domain.errors import StorageError, StorageUnavailable


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
