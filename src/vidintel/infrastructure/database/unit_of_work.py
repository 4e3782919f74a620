"""One transaction of PostgreSQL as a `UnitOfWork`."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from vidintel.application.ports import (
    DetectionRepository,
    EventDeliveries,
    JobRepository,
    ObjectDeletions,
    Outbox,
    ResultRepository,
    SegmentRepository,
    SnapshotRepository,
    TrackRepository,
    VideoRepository,
    WorkItemRepository,
)
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.video import VideoId
from vidintel.domain.work import Cause
from vidintel.infrastructure.database.engine import is_collision, is_contended, is_exhausted, is_outage
from vidintel.infrastructure.database.repositories.detections import SqlDetectionRepository
from vidintel.infrastructure.database.repositories.events import SqlEventDeliveries, SqlOutbox
from vidintel.infrastructure.database.repositories.jobs import SqlJobRepository
from vidintel.infrastructure.database.repositories.mapping import changes_of
from vidintel.infrastructure.database.repositories.results import (
    SqlObjectDeletions,
    SqlResultRepository,
    SqlSnapshotRepository,
)
from vidintel.infrastructure.database.repositories.segments import SqlSegmentRepository
from vidintel.infrastructure.database.repositories.tracks import SqlTrackRepository
from vidintel.infrastructure.database.repositories.videos import SqlVideoRepository
from vidintel.infrastructure.database.repositories.work_items import SqlWorkItemRepository
from vidintel.infrastructure.database.work_notifications import CHANNEL

_EXHAUSTED_S = 15.0
"""How long clients should wait, in seconds, when the server is out of a resource."""


class SqlUnitOfWork:
    """A session that lives as long as the block, and takes a connection with its first statement. Use it once.

    The block raises `ServiceUnavailable` when the server cannot be reached, when the transaction conflicts with
    another one, and when a wait took too long. The error is ``retryable`` when certainly nothing was committed.

    After each commit, ``changed`` is called with every video that the transaction changed, for the caches of this
    process. Other processes are notified by the database. New work is stored with its ``cause``.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        changed: Callable[[VideoId], None] | None = None,
        *,
        cause: Callable[[], Cause] = Cause,
    ) -> None:
        self._session = sessions()
        self._changed = changed
        self._cause = cause
        self._commit_begun = False

    @property
    def videos(self) -> VideoRepository:
        return SqlVideoRepository(self._session)

    @property
    def jobs(self) -> JobRepository:
        return SqlJobRepository(self._session)

    @property
    def segments(self) -> SegmentRepository:
        return SqlSegmentRepository(self._session)

    @property
    def detections(self) -> DetectionRepository:
        return SqlDetectionRepository(self._session)

    @property
    def tracks(self) -> TrackRepository:
        return SqlTrackRepository(self._session)

    @property
    def snapshots(self) -> SnapshotRepository:
        return SqlSnapshotRepository(self._session)

    @property
    def results(self) -> ResultRepository:
        return SqlResultRepository(self._session)

    @property
    def object_deletions(self) -> ObjectDeletions:
        return SqlObjectDeletions(self._session)

    @property
    def work_items(self) -> WorkItemRepository:
        return SqlWorkItemRepository(self._session, self._cause)

    @property
    def outbox(self) -> Outbox:
        return SqlOutbox(self._session)

    @property
    def event_deliveries(self) -> EventDeliveries:
        return SqlEventDeliveries(self._session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Rolls back what was not committed, and finishes doing so even when this task is cancelled.
        try:
            await self._session.__aexit__(kind, error, traceback)
        except Exception as closing:
            if not is_outage(closing):
                raise
            error = error or closing
        if error is None:
            return
        if is_outage(error):
            detail = "The database does not respond. Try again in a moment."
            raise ServiceUnavailable(detail, retryable=not self._commit_begun) from error
        if is_exhausted(error):
            detail = "The database server is out of a resource, such as disk space. The operator has to make room."
            raise ServiceUnavailable(detail, retry_after_s=_EXHAUSTED_S) from error
        if is_collision(error):
            detail = "Another request changed the same data at the same time. Try again in a moment."
            raise ServiceUnavailable(detail, retryable=True, contended=True) from error
        if is_contended(error):
            raise ServiceUnavailable("The database is busy. Try again in a moment.", contended=True) from error

    async def notify_work(self) -> None:
        await self._session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})

    async def commit(self) -> None:
        self._commit_begun = True
        try:
            await self._session.commit()
        finally:
            # Also when the response to the commit was lost: it may have succeeded.
            if self._changed is not None:
                for video_id in changes_of(self._session):
                    self._changed(video_id)
