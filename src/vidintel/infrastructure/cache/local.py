"""The first cache level: values in this process. Concurrent requests share one load; changed videos are dropped."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TLRUCache

from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.cache.statistics import CountedCaches

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_JITTER = 0.2
"""Jitter: lifetimes are shortened by up to this share, so that values cached together do not expire together."""


@dataclass(frozen=True, slots=True)
class _Kept(Generic[V]):
    value: V
    video_id: VideoId
    read_at: int


@dataclass(frozen=True, slots=True)
class _Flight(Generic[V]):
    """A running load. ``video_id`` is ``None`` while the video of the value is not known."""

    task: "asyncio.Task[V | None]"
    video_id: VideoId | None
    read_at: int


class LocalCache(Generic[K, V]):
    """Holds at most ``entries`` values for at most ``ttl_s`` seconds. ``name`` identifies it in the statistics.

    A returned value is never older than the last change that `Changes` had recorded when it was requested. Cached
    values and running loads are ignored when their video has changed since. ``None`` is not cached.
    """

    def __init__(
        self,
        name: str,
        changes: Changes,
        counted: CountedCaches,
        *,
        video_of: Callable[[V], VideoId],
        entries: int,
        ttl_s: float,
        time_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._changes = changes
        self._counted = counted
        self._video_of = video_of

        def ends_at(_key: K, _kept: _Kept[V], now: float) -> float:
            return now + ttl_s * random.uniform(1 - _JITTER, 1)  # noqa: S311 - nothing secret about it

        self._kept: TLRUCache[K, _Kept[V]] = TLRUCache(entries, ttu=ends_at, timer=time_s)
        self._flights: dict[K, _Flight[V]] = {}

    async def get(self, key: K, video_id: VideoId | None, load: Callable[[], Awaitable[V | None]]) -> V | None:
        """The value of ``key``, from ``load`` when it is not cached; ``video_id`` is that of its video, if known."""
        if not self._changes.is_connected:
            self._counted.count(self._name, "bypass")
            return await load()
        try:
            kept = self._kept[key]
        except KeyError:
            pass
        else:
            if not self._changes.has_changed(kept.video_id, kept.read_at):
                self._counted.count(self._name, "local_hit")
                return kept.value
        flight = self._flights.get(key)
        if flight is None or self._changes.has_changed(flight.video_id, flight.read_at):
            flight = self._take_off(key, video_id, load)
        else:
            self._counted.count(self._name, "shared_load")
        return await asyncio.shield(flight.task)  # a cancelled caller must not cancel the load for the others

    def _take_off(self, key: K, video_id: VideoId | None, load: Callable[[], Awaitable[V | None]]) -> _Flight[V]:
        self._counted.count(self._name, "miss")
        read_at = self._changes.now

        async def fly() -> V | None:
            value = await load()
            if value is not None and not self._changes.has_changed(self._video_of(value), read_at):
                self._kept[key] = _Kept(value, self._video_of(value), read_at)
            return value

        flight = _Flight(asyncio.create_task(fly()), video_id, read_at)
        self._flights[key] = flight

        def landed(task: "asyncio.Task[V | None]") -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            if not task.cancelled():
                task.exception()  # mark it retrieved, in case that no caller waits any more

        flight.task.add_done_callback(landed)
        return flight
