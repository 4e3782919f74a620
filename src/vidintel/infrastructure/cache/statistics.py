"""Counts of what the caches could answer."""

from collections import Counter
from collections.abc import Mapping


class CountedCaches:
    """`CacheStatistics`. Counting is on one event loop, or takes care of its threads itself."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        return dict(self._counts)

    def count(self, cache: str, outcome: str) -> None:
        self._counts[cache, outcome] += 1
