"""The first level: one load however many ask, and nothing that is older than the last change."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.cache.local import LocalCache
from vidintel.infrastructure.cache.statistics import CountedCaches

VIDEO, OTHER = VideoId(UUID(int=1)), VideoId(UUID(int=2))
TTL_S = 10.0


@dataclass
class Scene:
    """A cache whose time stands still, over a source that is changed, and held up, by the test."""

    changes: Changes = field(default_factory=Changes)
    counted: CountedCaches = field(default_factory=CountedCaches)
    entries: int = 10
    time_s: float = 0.0
    stored: str | None = "first"
    loads: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.changes.connected()
        self.cache: LocalCache[str, str] = LocalCache(
            "text",
            self.changes,
            self.counted,
            video_of=lambda _: VIDEO,
            entries=self.entries,
            ttl_s=TTL_S,
            time_s=lambda: self.time_s,
        )

    async def load(self) -> str | None:
        """Reads at once and answers when the gate is open, as a database does whose answer is on its way."""
        self.loads += 1
        read = self.stored
        await self.gate.wait()
        return read

    async def get(self, key: str = "key", video_id: VideoId | None = VIDEO) -> str | None:
        return await self.cache.get(key, video_id, self.load)

    def write(self, stored: str | None) -> None:
        self.stored = stored
        self.changes.note(VIDEO)


async def begun(asking: Callable[[], Awaitable[str | None]], times: int = 1) -> "list[asyncio.Future[str | None]]":
    tasks: list[asyncio.Future[str | None]] = [asyncio.ensure_future(asking()) for _ in range(times)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_was_loaded_is_not_loaded_again() -> None:
    scene = Scene()

    assert [await scene.get(), await scene.get()] == ["first", "first"]
    assert scene.loads == 1
    assert scene.counted.counts == {("text", "miss"): 1, ("text", "local_hit"): 1}


async def test_a_thundering_herd_makes_one_load() -> None:
    scene = Scene()
    scene.gate.clear()

    herd = await begun(scene.get, 100)
    scene.gate.set()

    assert set(await asyncio.gather(*herd)) == {"first"}
    assert scene.loads == 1
    assert scene.counted.counts["text", "shared_load"] == 99


async def test_who_gives_up_waiting_does_not_stop_the_load_of_the_others() -> None:
    scene = Scene()
    scene.gate.clear()
    gone, patient = await begun(scene.get, 2)

    gone.cancel()
    scene.gate.set()

    assert await patient == "first"
    assert scene.loads == 1


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    scene = Scene()

    async def failing() -> str | None:
        raise OSError("away")

    herd = [scene.cache.get("key", VIDEO, failing) for _ in range(3)]
    assert [type(each) for each in await asyncio.gather(*herd, return_exceptions=True)] == [OSError] * 3
    assert await scene.get() == "first"


async def test_a_change_is_seen_at_once() -> None:
    scene = Scene()
    await scene.get()

    scene.write("second")

    assert await scene.get() == "second"


async def test_the_change_of_another_video_drops_nothing() -> None:
    scene = Scene()
    await scene.get()

    scene.changes.note(OTHER)
    await scene.get()

    assert scene.loads == 1


@pytest.mark.parametrize("video_id", [VIDEO, None])
async def test_a_load_that_began_before_a_change_is_not_shared_after_it_nor_kept(video_id: VideoId | None) -> None:
    scene = Scene()
    scene.gate.clear()
    (before,) = await begun(lambda: scene.get(video_id=video_id))
    scene.write("second")
    (after,) = await begun(lambda: scene.get(video_id=video_id))
    scene.gate.set()

    assert [await before, await after] == ["first", "second"]
    assert await scene.get() == "second"
    assert scene.loads == 2


async def test_what_is_gone_is_gone_at_once_and_nothing_is_remembered_of_it() -> None:
    scene = Scene()
    await scene.get()

    scene.write(None)

    assert [await scene.get(), await scene.get()] == [None, None]
    assert scene.loads == 3


async def test_nothing_is_trusted_while_disconnected() -> None:
    scene = Scene()
    await scene.get()

    scene.changes.disconnected()
    scene.stored = "second"

    assert [await scene.get(), await scene.get()] == ["second", "second"]
    assert scene.counted.counts["text", "bypass"] == 2


async def test_what_was_kept_before_a_disconnection_is_loaded_anew() -> None:
    scene = Scene()
    await scene.get()

    scene.changes.disconnected()
    scene.stored = "second"  # nobody heard of it
    scene.changes.connected()

    assert await scene.get() == "second"


async def test_a_load_under_way_during_a_disconnection_is_not_kept() -> None:
    scene = Scene()
    scene.gate.clear()
    (before,) = await begun(scene.get)
    scene.changes.disconnected()
    scene.stored = "second"
    scene.changes.connected()
    scene.gate.set()

    assert await before == "first"
    assert await scene.get() == "second"


async def test_everything_ends_after_its_time_and_not_all_at_once() -> None:
    scene = Scene(entries=1000)
    for number in range(100):
        await scene.get(f"key {number}")

    scene.time_s = TTL_S * 0.9
    for number in range(100):
        await scene.get(f"key {number}")
    renewed = scene.loads - 100
    assert 0 < renewed < 100

    scene.time_s += TTL_S
    loads = scene.loads
    for number in range(100):
        await scene.get(f"key {number}")
    assert scene.loads == loads + 100


async def test_only_so_much_is_kept() -> None:
    scene = Scene(entries=2)
    for key in "abca":
        await scene.get(key)

    assert scene.loads == 4


def test_changes_that_are_forgotten_are_taken_for_changes_of_everything() -> None:
    changes = Changes()
    before = changes.now
    changes.note(VIDEO)
    after = changes.now
    for number in range(20_000):
        changes.note(VideoId(UUID(int=10 + number)))

    assert changes.has_changed(OTHER, before)
    assert changes.has_changed(VIDEO, before)
    assert changes.has_changed(VIDEO, after)
    assert not changes.has_changed(VIDEO, changes.now)
