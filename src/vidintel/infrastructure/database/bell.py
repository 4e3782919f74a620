"""The doorbell's other end: LISTEN on one connection that comes back by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog
from sqlalchemy import make_url

CHANNEL = "vidintel_work"

_RECONNECT_AFTER_S = 1.0

_log = structlog.get_logger(__name__)


class PostgresWorkBell:
    """Hears every `UnitOfWork.ring` that is committed at ``url`` (``postgresql+asyncpg://…``) while `listening`.

    Rings may be lost while the connection is down, so coming back counts as a ring, and callers poll besides.
    """

    def __init__(self, url: str, *, application_name: str = "vidintel-bell") -> None:
        parsed = make_url(url)
        _, self._connect_args = parsed.get_dialect()().create_connect_args(parsed)
        self._application_name = application_name
        self._rung = asyncio.Event()
        self._tried = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["PostgresWorkBell"]:
        """Listen for as long as the block lasts; a database that is down at first is no error."""
        listener = asyncio.create_task(self._listen_for_ever())
        try:
            await self._tried.wait()
            yield self
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        self._rung.clear()

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("bell.disconnected", error=str(error))
            self._tried.set()
            await asyncio.sleep(_RECONNECT_AFTER_S)

    async def _listen_once(self) -> None:
        closed = asyncio.Event()
        connection = await asyncpg.connect(
            **self._connect_args, server_settings={"application_name": self._application_name}
        )
        try:
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(CHANNEL, lambda *_: self._rung.set())
            self._rung.set()
            self._tried.set()
            await closed.wait()
            raise ConnectionError("The server closed the connection.")
        finally:
            await connection.close()
