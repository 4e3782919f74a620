"""A connection that only reads, one statement after the other, with nothing around them."""

from collections.abc import Sequence

import asyncpg
from sqlalchemy import make_url

from vidintel.domain.errors import ServiceUnavailable
from vidintel.infrastructure.database.engine import CONNECT_S, answer_s, is_contended, is_outage, server_settings
from vidintel.settings.model import DatabaseSettings


class ReadConnection:
    """Opened when it is first used at ``url`` (``postgresql+asyncpg://…``), and anew when the server has closed it.

    A pool would test the connection and begin and end a transaction for each statement: four round trips to one. Not
    to be used by two at a time.
    """

    def __init__(self, url: str, settings: DatabaseSettings, *, application_name: str = "vidintel-reads") -> None:
        parsed = make_url(url)
        _, self._arguments = parsed.get_dialect()().create_connect_args(parsed)
        self._answer_s = answer_s(settings)
        self._settings = server_settings(settings, application_name) | {"default_transaction_read_only": "on"}
        self._connection: asyncpg.Connection | None = None

    async def fetch(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """The rows. Raises `ServiceUnavailable` while the database does not answer, or not in time."""
        try:
            try:
                return await (await self._open()).fetch(statement, *values)
            except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError, OSError):
                # The server was restarted since the connection was last used, or its machine is gone and another has
                # taken its place. Reading twice does no harm.
                await self.close()
                return await (await self._open()).fetch(statement, *values)
        except Exception as error:
            if is_contended(error):
                raise ServiceUnavailable("The database is busy. Try again in a moment.") from error
            if not (is_outage(error) or isinstance(error, OSError)):  # nothing but the driver was called
                raise
            raise ServiceUnavailable("The database does not answer. Try again in a moment.") from error

    async def close(self) -> None:
        """Let it go without a word; it is opened again when it is needed."""
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
