"""Collectors that read the state of pools, circuits and caches at each scrape."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from vidintel.application.ports import CacheStatistics


class PoolCollector(Collector):
    """The database connections of this process."""

    def __init__(self, engines: Sequence[AsyncEngine]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "vidintel_database_connections", "Connections of this process's pools.", labels=["state"]
        )
        pools = [engine.pool for engine in self._engines if isinstance(engine.pool, QueuePool)]
        family.add_metric(["in_use"], sum(pool.checkedout() for pool in pools))
        family.add_metric(["idle"], sum(pool.checkedin() for pool in pools))
        yield family

    def describe(self) -> Iterator[Metric]:
        return iter(())


class BreakerCollector(Collector):
    """The circuits: 1 for the state that each is in, 0 for the others."""

    STATES = ("closed", "half-open", "open")

    def __init__(self, states: Callable[[], Mapping[str, str]]) -> None:
        """``states`` tells the state of each circuit by its name. It may block."""
        self._states = states

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "vidintel_circuit_state", "1 for the state that a circuit is in.", labels=["circuit", "state"]
        )
        for circuit, current in self._states().items():
            for state in self.STATES:
                family.add_metric([circuit, state], float(state == current))
        yield family

    def describe(self) -> Iterator[Metric]:
        return iter(())


class CacheCollector(Collector):
    """Hits and misses of the caches of this process."""

    def __init__(self, statistics: CacheStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "vidintel_cache_requests", "What the caches were asked, by how it went.", labels=["cache", "outcome"]
        )
        for (cache, outcome), count in self._statistics.counts.items():
            family.add_metric([cache, outcome], count)
        yield family

    def describe(self) -> Iterator[Metric]:
        return iter(())
