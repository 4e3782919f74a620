"""Exposes metrics to Prometheus: in the API through a route, in a worker through a small HTTP server."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Thread
from typing import Protocol
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import (
    CollectorRegistry,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client import start_http_server as start_metrics_server
from prometheus_client.registry import Collector

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Sampler(Protocol):
    """Brings gauges up to date before they are read."""

    async def refresh(self) -> None: ...


def create_registry(version: str) -> CollectorRegistry:
    """A registry with the metrics of every process: memory, processor time, open files, and its version."""
    # An extra series for each counter, with the time of its first use, which is not needed.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a function without annotations
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    Info("vidintel_build", "What runs here.", registry=registry).info({"version": version})
    return registry


class Exposition:
    """The answer to one scrape, in Prometheus's text format."""

    def __init__(
        self, registry: CollectorRegistry, samplers: Sequence[Sampler] = (), collectors: Sequence[Collector] = ()
    ) -> None:
        self._registry = registry
        self._samplers = samplers
        for collector in collectors:
            registry.register(collector)

    async def __call__(self) -> bytes:
        await asyncio.gather(*(sampler.refresh() for sampler in self._samplers))
        # In a thread: the state of a circuit may be asked of Redis.
        return await asyncio.to_thread(generate_latest, self._registry)

    def serve(self, host: str, port: int | None) -> AbstractContextManager[int | None]:
        """Serve ``http://host:port/metrics`` from a thread of its own, whatever the event loop does; until the end of
        the block that it is given to.

        The block is given the port; ``port`` ``None`` serves nothing. Samplers are not asked. Raises `OSError` when the
        port is taken.
        """
        return nullcontext() if port is None else _serving(*start_metrics_server(port, host, self._registry))


@contextmanager
def _serving(server: WSGIServer, thread: Thread) -> Iterator[int]:
    _log.info("metrics.served", host=server.server_name, port=server.server_port, pid=os.getpid())
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
