"""Whose a piece of work is and what caused it: one indexed read, before the work is claimed."""

from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from vidintel.application.ports import Cause, Tracing, WorkContext
from vidintel.domain.analysis import JobId
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId
from vidintel.infrastructure.database.tables import jobs, segments

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SqlWorkContexts:
    """Implements `WorkContexts`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def of(self, work_id: UUID) -> WorkContext | None:
        of_segment = select(segments.c.job_id).where(segments.c.id == work_id).scalar_subquery()
        query = select(jobs.c.tenant_id, jobs.c.video_id, jobs.c.id, jobs.c.request_id, jobs.c.traceparent)
        try:
            async with self._engine.connect() as connection:
                row = (await connection.execute(query.where(jobs.c.id.in_([work_id, of_segment])))).one_or_none()
        except Exception as error:  # noqa: BLE001 - the work itself will find out, and knows what to do
            _log.warning("work.context_unknown", id=str(work_id), error=type(error).__name__)
            return None
        if row is None:
            return None
        cause = Cause(row.request_id, row.traceparent)
        return WorkContext(TenantId(row.tenant_id), VideoId(row.video_id), JobId(row.id), cause)


def current_cause(tracing: Tracing) -> Cause:
    """The request that is being answered: its id as the log lines have it, and its span."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return Cause(request_id, tracing.traceparent())
