"""The task_queue's other end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from vidintel.infrastructure.database.listener import PostgresListener

CHANNEL = "vidintel_work"


class PostgresWorkNotifications:
    """Hears every `UnitOfWork.notify_work` that is committed at ``url`` (``postgresql+asyncpg://…``) while `listening`.

    Rings may be lost while the connection is down, so coming back counts as a ring, and callers poll besides.
    """

    def __init__(self, url: str, *, application_name: str = "vidintel-work-notifications") -> None:
        self._rung = asyncio.Event()
        self._listener = PostgresListener(
            url,
            CHANNEL,
            heard=lambda _: self._rung.set(),
            connected=self._rung.set,
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
                await self._rung.wait()
        self._rung.clear()
