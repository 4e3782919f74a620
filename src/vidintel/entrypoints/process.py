"""Shared by the commands that run a process: the database, signals, and reloading of settings."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Never

from vidintel.container import Container
from vidintel.infrastructure.embedded_postgres.server import EmbeddedPostgres, EmbeddedPostgresError
from vidintel.infrastructure.observability.logging import set_log_level
from vidintel.settings.errors import CannotRun
from vidintel.settings.live import SettingsReload
from vidintel.settings.model import Settings
from vidintel.settings.sources import Configuration


def configured_url(settings: Settings) -> str:
    """The URL of the database that the settings name; raises `CannotRun` when they name none."""
    if settings.database.url is None:
        raise CannotRun("Set VIDINTEL_DATABASE__URL to postgresql+asyncpg://…, or run `vidintel serve`.")
    return settings.database.url.get_secret_value()


@contextmanager
def database_url_of(settings: Settings) -> Iterator[str]:
    """The URL of the configured database, else of the embedded one, which runs while the block lasts."""
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


def require_default_model(container: Container) -> None:
    """Raise `UnknownModel` or `ModelUnusable` now, rather than at the first upload."""
    registry = container.registry()
    registry.get(registry.default_name)


@asynccontextmanager
async def reloading_settings(container: Container, configuration: Configuration) -> AsyncIterator[None]:
    """While the block lasts, changes of the configuration file take effect where settings are reloadable."""
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


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that everything that was started is stopped."""

    def leave(_number: int, _frame: FrameType | None) -> Never:
        raise SystemExit(0)

    previous = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


async def close_container(container: Container) -> None:
    """Close the connections, pools and threads that the container has opened."""
    await asyncio.to_thread(container.storage().close)
    container.circuits().close()
    container.tracing().close()
    await container.engine().dispose()
