"""Receives work notifications from the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from vidintel.infrastructure.database.listener import PostgresListener

CHANNEL = "vidintel_work"


class PostgresWorkNotifications:
    """Receives each committed `UnitOfWork.notify_work` of the database at ``url`` while `listening`.

    ``url`` is ``postgresql+asyncpg://…``. Notifications may be lost while the connection is down, so a reconnection
    counts as a notification, and callers poll as well.
    """

    def __init__(self, url: str, *, application_name: str = "vidintel-work-notifications") -> None:
        self._notified = asyncio.Event()
        self._listener = PostgresListener(
            url,
            CHANNEL,
            received=lambda _: self._notified.set(),
            connected=self._notified.set,
            application_name=application_name,
        )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["PostgresWorkNotifications"]:
        """Listen for as long as the block lasts; a database that is down at first is no error."""
        async with self._listener.listening():
            yield self

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._notified.wait()
        self._notified.clear()
