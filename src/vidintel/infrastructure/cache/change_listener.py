"""Passes the notifications of the database's triggers to `Changes`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.database.listener import PostgresListener

CHANNEL = "vidintel_changed"
"""At commit, triggers send the id of the video that changed, or whose job changed, and the id of the transaction."""


class ChangeListener:
    """Keeps ``changes`` up to date with what any process commits to the database at ``url``, while `listening`."""

    def __init__(self, url: str, changes: Changes, *, application_name: str = "vidintel-changes") -> None:
        self._changes = changes
        self._listener = PostgresListener(
            url,
            CHANNEL,
            received=self._note,
            connected=changes.connected,
            lost=changes.disconnected,
            application_name=application_name,
        )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for as long as the block lasts. While the database is down, nothing is cached."""
        async with self._listener.listening():
            yield

    def _note(self, payload: str) -> None:
        video_id, transaction = payload.split()
        self._changes.note(VideoId(UUID(video_id)), int(transaction))
