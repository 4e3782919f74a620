"""News of changes, from the database to `Changes`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from vidintel.domain.video import VideoId
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.database.listener import PostgresListener

CHANNEL = "vidintel_changed"
"""Triggers tell the ids of a video and of the transaction that changed it, or a job of it, when that is committed."""


class PostgresNews:
    """Keeps ``changes`` informed of what other processes commit at ``url``, while `arriving`."""

    def __init__(self, url: str, changes: Changes, *, application_name: str = "vidintel-news") -> None:
        self._changes = changes
        self._listener = PostgresListener(
            url,
            CHANNEL,
            heard=self._hear,
            connected=changes.hear,
            lost=changes.go_deaf,
            application_name=application_name,
        )

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        """A database that is down at first is no error: nothing is cached until it is heard."""
        async with self._listener.listening():
            yield

    def _hear(self, payload: str) -> None:
        video_id, transaction = payload.split()
        self._changes.note(VideoId(UUID(video_id)), int(transaction))
