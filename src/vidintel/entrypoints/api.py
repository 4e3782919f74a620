"""`vidintel api`: the API alone."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import FastAPI

from vidintel.container import Container, create_container
from vidintel.entrypoints.process import (
    close_container,
    configured_url,
    exit_on_signals,
    reloading_settings,
    require_default_model,
)
from vidintel.infrastructure.observability.logging import configure_logging
from vidintel.presentation.http.app import create_app
from vidintel.presentation.http.server import DrainingServer
from vidintel.settings.errors import CannotRun
from vidintel.settings.model import Settings
from vidintel.settings.sources import Configuration


def run_api(configuration: Configuration, *, fd: int | None = None) -> None:
    """The API alone, on a database and Clerk keys from the settings, until a signal.

    ``fd`` is a listening socket, inherited from the parent process and shared with other processes.
    """
    settings = configuration.settings
    configure_logging(settings.log)
    container = create_container(settings, configured_url(settings))
    require_default_model(container)
    http = settings.http
    with exit_on_signals(), bound(settings) if fd is None else _inherited(fd) as listener:
        listen(container, configuration, listener, drain_s=http.drain_s, finish_s=http.finish_s)


def listen(
    container: Container, configuration: Configuration, listener: socket.socket, *, drain_s: float, finish_s: float
) -> None:
    """Serve the API on ``listener`` until a signal; `DrainingServer` says what ``drain_s`` and ``finish_s`` are."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        container.renderer().start()
        try:
            async with container.change_listener().listening(), reloading_settings(container, configuration):
                yield
        finally:
            container.renderer().close()
            await container.documents().close()
            await close_container(container)

    services = container.http_services()
    app = create_app(services, lifespan=lifespan)
    DrainingServer(app, services.lifecycle, drain_s=drain_s, finish_s=finish_s).run(sockets=[listener])


@contextmanager
def bound(settings: Settings) -> Iterator[socket.socket]:
    """A socket bound to the configured address. No client can connect before the API listens on it."""
    host, port = settings.http.host, settings.http.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CannotRun(f"Cannot listen on {host}:{port}: {reason}. Choose another --port or --host.") from error
        yield taken


def _inherited(fd: int) -> socket.socket:
    try:
        return socket.socket(fileno=fd)
    except OSError as error:
        raise CannotRun(f"File descriptor {fd} is not a socket: {error.strerror}.") from error
