"""Batches single loads."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class DataLoader(Generic[K, V]):
    """Runs one batch at a time. The keys that are requested meanwhile form the next batch.

    Under load, many callers share the cost of a batch. Without load, no caller waits. Nothing is cached: a batch always
    starts after all requests that share it. ``batch_load`` gets at most ``max_batch_size`` distinct keys, and leaves
    out keys that it does not find.
    """

    def __init__(
        self, batch_load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, max_batch_size: int = 200
    ) -> None:
        self._batch_load = batch_load
        self._max_batch_size = max_batch_size
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._is_loading = False
        self._task: asyncio.Task[None] | None = None

    async def load(self, key: K) -> V | None:
        """The value of ``key``, or ``None`` if there is none. Raises what ``batch_load`` raises."""
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if not self._is_loading:
            self._is_loading = True
            self._task = asyncio.create_task(self._load_all())
        return await answer

    async def _load_all(self) -> None:
        try:
            while self._waiting:
                await self._load_batch()
        finally:
            self._is_loading = False

    async def _load_batch(self) -> None:
        batch = {key: self._waiting.pop(key) for key in list(self._waiting)[: self._max_batch_size]}
        waiting = [answer for answers in batch.values() for answer in answers]
        try:
            found = await self._batch_load(list(batch))
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            for answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for key, answers in batch.items():
                for answer in answers:
                    if not answer.done():
                        answer.set_result(found.get(key))
        finally:
            for answer in waiting:
                answer.cancel()  # does nothing to one that is answered; the others' event loop is closing
