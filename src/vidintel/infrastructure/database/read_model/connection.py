"""A connection for reads, one statement at a time, without transactions around them."""

from collections.abc import Sequence

import asyncpg
from sqlalchemy import make_url

from vidintel.domain.errors import ServiceUnavailable
from vidintel.infrastructure.database.engine import CONNECT_S, answer_s, is_contended, is_outage, server_settings
from vidintel.settings.model import DatabaseSettings


class ReadConnection:
    """Connects to ``url`` (``postgresql+asyncpg://…``) at the first use, and again after the server closed it.

    A pool would test the connection and begin and end a transaction for each statement: four round trips instead of
    one. Only one task may use it at a time.
    """

    def __init__(self, url: str, settings: DatabaseSettings, *, application_name: str = "vidintel-reads") -> None:
        parsed = make_url(url)
        _, self._arguments = parsed.get_dialect()().create_connect_args(parsed)
        self._answer_s = answer_s(settings)
        self._settings = server_settings(settings, application_name) | {"default_transaction_read_only": "on"}
        self._connection: asyncpg.Connection | None = None

    async def fetch(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """The rows. Raises `ServiceUnavailable` when the database does not respond in time."""
        try:
            try:
                return await (await self._open()).fetch(statement, *values)
            except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError, OSError):
                # The server was restarted, or replaced by another machine, since the connection was last used.
                # Reading twice does no harm.
                await self.close()
                return await (await self._open()).fetch(statement, *values)
        except Exception as error:
            if is_contended(error):
                raise ServiceUnavailable("The database is busy. Try again in a moment.") from error
            if not (is_outage(error) or isinstance(error, OSError)):  # nothing but the driver was called
                raise
            raise ServiceUnavailable("The database does not respond. Try again in a moment.") from error

    async def close(self) -> None:
        """Drop the connection without an orderly close. The next use opens a new one."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _open(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                **self._arguments,
                server_settings=self._settings,
                timeout=CONNECT_S,
                command_timeout=self._answer_s,
            )
        return self._connection
