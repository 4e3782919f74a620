"""`vidintel worker`: one worker process."""

import asyncio
import signal
import sys
from contextlib import AbstractContextManager

from dependency_injector import providers

from vidintel.container import Container, create_container
from vidintel.entrypoints.process import close_container, configured_url, reloading_settings
from vidintel.infrastructure.memory import bound_memory
from vidintel.infrastructure.observability.logging import configure_logging
from vidintel.presentation.worker import WorkerProcess
from vidintel.settings.errors import CannotRun
from vidintel.settings.model import Settings
from vidintel.settings.sources import Configuration


def run_worker(configuration: Configuration, *, name: str | None, with_parent: bool) -> None:
    """One worker process, until SIGTERM or SIGINT; ``with_parent`` also until standard input ends."""
    settings = configuration.settings
    configure_logging(settings.log)
    bound_memory(settings.work.memory_bytes * (settings.work.concurrency + 1))
    container = create_container(settings, configured_url(settings))
    if name is not None:
        container.owner.override(providers.Object(name))
    asyncio.run(_work(container, configuration, with_parent))


async def _work(container: Container, configuration: Configuration, with_parent: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        transport, _ = await loop.connect_read_pipe(lambda: _UntilEnd(stop), sys.stdin)
    try:
        async with reloading_settings(container, configuration):
            with _metrics_of_worker(container, configuration.settings):
                await WorkerProcess(container.worker_services()).run(stop)
    finally:
        if with_parent:
            transport.close()
        await close_container(container)


def _metrics_of_worker(container: Container, settings: Settings) -> AbstractContextManager[int | None]:
    host, port = settings.metrics.worker_host, settings.metrics.worker_port
    try:
        return container.exposition().serve(host, port)
    except OSError as error:
        raise CannotRun(f"Cannot serve metrics on {host}:{port}: {error.strerror}.") from error


class _UntilEnd(asyncio.Protocol):
    """Sets ``stop`` at the end of standard input."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def eof_received(self) -> None:
        self._stop.set()
