"""LISTEN on one connection, with automatic reconnection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog
from sqlalchemy import make_url

from vidintel.infrastructure.database.engine import CONNECT_S

_RECONNECT_AFTER_S = 1.0
_PROBE_EVERY_S = 2.0
_ANSWER_S = 2.0

_log = structlog.get_logger(__name__)


def _nothing() -> None:
    return


class PostgresListener:
    """Receives the notifications on ``channel`` of the database at ``url`` while `listening`.

    ``url`` is ``postgresql+asyncpg://…``. ``received`` is called with each payload, ``connected`` whenever listening
    begins, and ``lost`` whenever it ends. Between the two, no notification is missed. A connection that stops
    responding is detected within `_PROBE_EVERY_S` plus `_ANSWER_S`. All callbacks run on the event loop.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        *,
        received: Callable[[str], None],
        connected: Callable[[], None],
        lost: Callable[[], None] = _nothing,
        application_name: str,
    ) -> None:
        parsed = make_url(url)
        _, self._connect_args = parsed.get_dialect()().create_connect_args(parsed)
        self._channel = channel
        self._received = received
        self._connected = connected
        self._lost = lost
        self._application_name = application_name

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for as long as the block lasts; a database that is down at first is no error."""
        tried = asyncio.Event()
        listener = asyncio.create_task(self._listen(tried))
        try:
            await tried.wait()
            yield
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

    async def _listen(self, tried: asyncio.Event) -> None:
        while True:
            try:
                await self._listen_once(tried)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("listener.disconnected", channel=self._channel, error=str(error))
            tried.set()
            await asyncio.sleep(_RECONNECT_AFTER_S)

    async def _listen_once(self, tried: asyncio.Event) -> None:
        closed = asyncio.Event()
        connection = await asyncpg.connect(
            **self._connect_args,
            server_settings={"application_name": self._application_name},
            timeout=CONNECT_S,
            command_timeout=_ANSWER_S,
        )
        try:
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(self._channel, lambda *told: self._received(told[-1]))
            self._connected()
            tried.set()
            while not closed.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PROBE_EVERY_S):
                        await closed.wait()
                        break
                await connection.execute("SELECT 1")
            raise ConnectionError("The server closed the connection.")
        finally:
            self._lost()
            # Closing the connection in an orderly way would wait for a server that does not respond.
            connection.terminate()
