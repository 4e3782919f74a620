"""Batching of loads: one batch at a time, and nothing older than the question."""

import asyncio
from collections.abc import Mapping, Sequence

from vidintel.infrastructure.database.read_model.data_loader import DataLoader


class Batches:
    """Each batch waits until it is let go. The value of a key is its length; the empty key has none."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.let_go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(keys)
        await self.let_go.wait()
        if self.error is not None:
            raise self.error
        return {key: len(key) for key in keys if key}


async def started(*asking: "asyncio.Task[int | None]") -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_is_asked_for_during_a_batch_makes_up_the_next() -> None:
    read = Batches()
    loader = DataLoader(read)

    first = asyncio.create_task(loader.load("a"))
    await started(first)
    others = [asyncio.create_task(loader.load(key)) for key in ("bb", "a", "bb", "")]
    await started(*others)
    read.let_go.set()

    assert await asyncio.gather(first, *others) == [1, 2, 1, 2, None]
    assert read.asked == [["a"], ["bb", "a", ""]]
    assert await loader.load("ccc") == 3


async def test_a_batch_has_at_most_so_many_keys() -> None:
    read = Batches()
    read.let_go.set()
    loader = DataLoader(read, max_batch_size=2)

    assert await asyncio.gather(*(loader.load(key) for key in ("a", "bb", "ccc"))) == [1, 2, 3]
    assert [len(keys) for keys in read.asked] == [2, 1]


async def test_a_cancelled_load_leaves_the_others_their_answer_and_an_error_reaches_all() -> None:
    read = Batches()
    loader = DataLoader(read)

    gone, patient = asyncio.create_task(loader.load("a")), asyncio.create_task(loader.load("a"))
    await started(gone, patient)
    gone.cancel()
    read.let_go.set()
    assert await patient == 1

    read.error = ValueError("no")
    for outcome in await asyncio.gather(loader.load("a"), loader.load("b"), return_exceptions=True):
        assert isinstance(outcome, ValueError)
