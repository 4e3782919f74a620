"""`vidintel worker`: one worker process."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID

from dependency_injector import providers

from vidintel.container import Container, create_container
from vidintel.domain.work import WorkItemId
from vidintel.entrypoints.process import close_container, configured_url, reloading_settings
from vidintel.infrastructure.memory import bound_memory
from vidintel.infrastructure.observability.logging import configure_logging
from vidintel.presentation.worker import RunMessage, WorkerProcess
from vidintel.settings.errors import CannotRun
from vidintel.settings.model import Settings
from vidintel.settings.sources import FILE_VARIABLE, Configuration


def run_worker(configuration: Configuration, *, name: str | None, with_parent: bool, alone: UUID | None = None) -> None:
    """One worker process, until SIGTERM or SIGINT; ``with_parent`` also until standard input ends.

    With ``alone`` it does the one work item of that id, and ends.
    """
    settings = configuration.settings
    configure_logging(settings.log)
    concurrency = settings.work.concurrency if alone is None else 1
    bound_memory(settings.work.memory_bytes * (concurrency + 1))
    if configuration.file is not None:  # processes that this one starts for suspects read the same file
        os.environ[FILE_VARIABLE] = str(configuration.file)
    container = create_container(settings, configured_url(settings))
    if name is not None:
        container.owner.override(providers.Object(name))
    if alone is None:
        asyncio.run(_work(container, configuration, with_parent))
    else:
        asyncio.run(_work_alone(container, WorkItemId(alone)))


async def _work(container: Container, configuration: Configuration, with_parent: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        transport, _ = await loop.connect_read_pipe(lambda: _UntilEnd(stop.set), sys.stdin)
    try:
        async with reloading_settings(container, configuration):
            with _metrics_of_worker(container, configuration.settings):
                await WorkerProcess(container.worker_services()).run(stop)
    finally:
        if with_parent:
            transport.close()
        await close_container(container)


async def _work_alone(container: Container, work_id: WorkItemId) -> None:
    services = container.worker_services()
    loop = asyncio.get_running_loop()
    leave = services.identity.leave
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    transport, _ = await loop.connect_read_pipe(lambda: _UntilEnd(leave), sys.stdin)
    try:
        if await RunMessage(services, alone=True)(work_id) == "stalled":
            services.die()
    finally:
        transport.close()
        await close_container(container)


def _metrics_of_worker(container: Container, settings: Settings) -> AbstractContextManager[int | None]:
    host, port = settings.metrics.worker_host, settings.metrics.worker_port
    try:
        return container.exposition().serve(host, port)
    except OSError as error:
        raise CannotRun(f"Cannot serve metrics on {host}:{port}: {error.strerror}.") from error


class _UntilEnd(asyncio.Protocol):
    """Calls ``ended`` at the end of standard input."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended

    def eof_received(self) -> None:
        self._ended()
