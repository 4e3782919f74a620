"""What is looked up when Prometheus asks: the state of pools, breakers and caches. Nothing here may block."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine


class PoolCollector(Collector):
    """The database connections of this process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "vidintel_database_connections", "Connections of this process's pool.", labels=["state"]
        )
        pool = self._engine.pool
        if isinstance(pool, QueuePool):
            family.add_metric(["in_use"], pool.checkedout())
            family.add_metric(["idle"], pool.checkedin())
        yield family

    def describe(self) -> Iterator[Metric]:
        return iter(())


class BreakerCollector(Collector):
    """The circuit breakers: 1 for the state that each is in, 0 for the others."""

    STATES = ("closed", "half-open", "open")

    def __init__(self, states: Callable[[], Mapping[str, str]]) -> None:
        """``states`` tells, without asking anybody, the state last known of each breaker by its name."""
        self._states = states

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "vidintel_circuit_breaker_state", "1 for the state a breaker is in.", labels=["breaker", "state"]
        )
        for breaker, current in self._states().items():
            for state in self.STATES:
                family.add_metric([breaker, state], float(state == current))
        yield family

    def describe(self) -> Iterator[Metric]:
        return iter(())
