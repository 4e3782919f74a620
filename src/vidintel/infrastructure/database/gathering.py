"""Many reads in one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class GatheredReads(Generic[K, V]):
    """Whoever asks while a statement is under way shares the next one with everybody who waits then.

    So under load the cost of a statement is shared, and when it is quiet nobody waits. What is answered was always
    read after it was asked for. ``read`` is awaited by one at a time, with at most ``most`` different keys.
    """

    def __init__(self, read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, most: int = 200) -> None:
        self._read = read
        self._most = most
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._is_reading = False
        self._reader: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """What ``read`` finds for ``key``; raises what it raises."""
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if not self._is_reading:
            self._is_reading = True
            self._reader = asyncio.create_task(self._read_all())
        return await answer

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                await self._read_some()
        finally:
            self._is_reading = False

    async def _read_some(self) -> None:
        asked = {key: self._waiting.pop(key) for key in list(self._waiting)[: self._most]}
        waiting = [answer for answers in asked.values() for answer in answers]
        try:
            found = await self._read(list(asked))
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            for answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for key, answers in asked.items():
                for answer in answers:
                    if not answer.done():
                        answer.set_result(found.get(key))
        finally:
            for answer in waiting:
                answer.cancel()  # the loop is closing; an answer that was given stays
