"""The processes: `serve` (everything on one machine), `api` and `worker`. Entry points know the container."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Never

from dependency_injector import providers
from fastapi import FastAPI
from rich.console import Console

from vidintel.container import Container
from vidintel.domain.identity import Role
from vidintel.entrypoints.supervisor import WorkerSupervisor
from vidintel.infrastructure.database.migrate import upgrade
from vidintel.infrastructure.embedded_postgres.server import EmbeddedPostgres, EmbeddedPostgresError
from vidintel.infrastructure.identity.development import DevelopmentTokenIssuer
from vidintel.infrastructure.memory import bound_memory
from vidintel.infrastructure.observability.logging import configure_logging, set_log_level
from vidintel.presentation.http.app import create_app
from vidintel.presentation.http.server import DrainingServer
from vidintel.presentation.worker import WorkerProcess
from vidintel.settings.errors import CannotRun
from vidintel.settings.live import SettingsReload
from vidintel.settings.model import AuthSettings, Settings
from vidintel.settings.sources import FILE_VARIABLE, Configuration

_WORKER_NAME = "serve"
_GRACE_S = 10.0


def run_serve(configuration: Configuration, *, notify: Callable[[str, str], None]) -> None:
    """Database, migrations, one supervised worker and the API, until a signal.

    ``notify`` is given the URL and a development token once the API is about to listen.
    """
    settings = configuration.settings
    if settings.auth.jwt_key is not None:
        raise CannotRun(
            "`vidintel serve` issues development tokens and must not run beside Clerk keys. "
            "Unset VIDINTEL_AUTH__*, or run `vidintel api` and `vidintel worker`."
        )
    configure_logging(settings.log)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    issuer = DevelopmentTokenIssuer(settings.data_dir)
    auth = AuthSettings.model_validate({"jwt_key": issuer.public_key_pem, "issuer": issuer.issuer})
    settings = settings.model_copy(update={"auth": auth})
    with _exit_on_signals(), _bound(settings) as listener, _database(settings) as url:
        upgrade(url)
        container = _container(settings, url)
        _require_default_model(container)
        environment = {"VIDINTEL_DATABASE__URL": url}
        if configuration.file is not None:
            environment[FILE_VARIABLE] = str(configuration.file)
        stop_after_s = settings.work.drain_s + _GRACE_S
        arguments = [
            *("--name", _WORKER_NAME),
            *("--data-dir", str(settings.data_dir)),
            *("--model", settings.analysis.model),
        ]
        with WorkerSupervisor(arguments, environment, stop_after_s=stop_after_s):
            host, port = listener.getsockname()[:2]
            notify(f"http://{host}:{port}", issuer.issue("developer", "development", Role.ADMIN))
            _listen(container, configuration, listener, drain_s=0, finish_s=_GRACE_S)


def run_api(configuration: Configuration, *, fd: int | None = None) -> None:
    """The API alone, on a database and Clerk keys from the settings, until a signal.

    ``fd`` is a socket that listens, inherited from whoever starts us and shared with other processes.
    """
    settings = configuration.settings
    configure_logging(settings.log)
    container = _container(settings, _configured_url(settings))
    _require_default_model(container)
    http = settings.http
    with _exit_on_signals(), _bound(settings) if fd is None else _inherited(fd) as listener:
        _listen(container, configuration, listener, drain_s=http.drain_s, finish_s=http.finish_s)


def _require_default_model(container: Container) -> None:
    """Raise `UnknownModel` or `ModelUnusable` now, rather than at the first upload."""
    registry = container.registry()
    registry.get(registry.default_name)


def run_worker(configuration: Configuration, *, name: str | None, with_parent: bool) -> None:
    """One worker process, until SIGTERM or SIGINT; ``with_parent`` also until standard input ends."""
    settings = configuration.settings
    configure_logging(settings.log)
    bound_memory(settings.work.memory_bytes * (settings.work.concurrency + 1))
    container = _container(settings, _configured_url(settings))
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
        async with _following(container, configuration):
            with _metrics_of_worker(container, configuration.settings):
                await WorkerProcess(container.worker_services()).run(stop)
    finally:
        if with_parent:
            transport.close()
        await _close(container)


async def _close(container: Container) -> None:
    """Give back what the process held: connections, pools and threads."""
    await asyncio.to_thread(container.storage().close)
    container.circuits().close()
    container.tracing().close()
    await container.engine().dispose()


@asynccontextmanager
async def _following(container: Container, configuration: Configuration) -> AsyncIterator[None]:
    """While the block lasts, changes of the configuration's file take effect as far as they can."""
    reload = SettingsReload(
        container.live(), configuration, container.telemetry(), lambda settings: set_log_level(settings.log.level)
    )
    task = asyncio.create_task(reload.watch())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _metrics_of_worker(container: Container, settings: Settings) -> AbstractContextManager[int | None]:
    host, port = settings.metrics.worker_host, settings.metrics.worker_port
    try:
        return container.exposition().serve(host, port)
    except OSError as error:
        raise CannotRun(f"Cannot serve metrics on {host}:{port}: {error.strerror}.") from error


class _UntilEnd(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def eof_received(self) -> None:
        self._stop.set()


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """The address, taken before anything is started on its account; nobody can connect until the API listens."""
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
        raise CannotRun(f"File descriptor {fd} is no socket: {error.strerror}.") from error


def _listen(
    container: Container, configuration: Configuration, listener: socket.socket, *, drain_s: float, finish_s: float
) -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        container.renderer().start()
        try:
            async with container.change_listener().listening(), _following(container, configuration):
                yield
        finally:
            container.renderer().close()
            await container.documents().close()
            await _close(container)

    services = container.http_services()
    app = create_app(services, lifespan=lifespan)
    DrainingServer(app, services.lifecycle, drain_s=drain_s, finish_s=finish_s).run(sockets=[listener])


def _container(settings: Settings, url: str) -> Container:
    return Container(settings=providers.Object(settings), database_url=providers.Object(url))


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    if settings.database.url is not None:
        yield settings.database.url.get_secret_value()
        return
    server = EmbeddedPostgres(settings.data_dir / "postgres")
    try:
        url = server.start()
    except EmbeddedPostgresError as error:
        raise CannotRun(str(error)) from error
    try:
        with server.kept_running():
            yield url
    finally:
        server.stop()


def _configured_url(settings: Settings) -> str:
    if settings.database.url is None:
        raise CannotRun("Set VIDINTEL_DATABASE__URL to postgresql+asyncpg://…, or run `vidintel serve`.")
    return settings.database.url.get_secret_value()


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that everything that was started is stopped."""

    def leave(_number: int, _frame: FrameType | None) -> Never:
        raise SystemExit(0)

    previous = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def migrate_database(settings: Settings) -> None:
    """Bring the configured database, or the embedded one, to the newest schema."""
    with _database(settings) as url:
        upgrade(url)


def show_serving(console: Console) -> Callable[[str, str], None]:
    """What a person at the terminal sees when everything is about to listen."""

    def notify(url: str, token: str) -> None:
        console.print(f"\n[bold]vidintel[/bold] serves on [link={url}]{url}[/link]   (docs: {url}/docs)")
        console.print("DEVELOPMENT identity: whoever reads the data directory can be anybody.")
        console.print("Token of an admin of the organisation 'development', for 12 hours:\n")
        console.print(token, soft_wrap=True, highlight=False)
        console.print()

    return notify
