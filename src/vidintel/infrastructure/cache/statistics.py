"""Counts of cache hits and misses."""

from collections import Counter
from collections.abc import Mapping


class CountedCaches:
    """Implements `CacheStatistics`. Not thread-safe: callers count on one event loop, or under a lock."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        return dict(self._counts)

    def count(self, cache: str, outcome: str) -> None:
        self._counts[cache, outcome] += 1
