"""`VideoReads` from PostgreSQL: a video, its newest job and that job's progress in one statement.

What comes back is one JSON document, which can also be kept elsewhere as it is.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Double, Table, Text, Uuid, bindparam, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from vidintel.application.ports import JobProgress, JobReport, VideoReport
from vidintel.domain.analysis import JobId
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId
from vidintel.infrastructure.database.engine import connect_args, is_outage
from vidintel.infrastructure.database.gathering import GatheredReads
from vidintel.infrastructure.database.jobs import job_of_row
from vidintel.infrastructure.database.tables import jobs, videos
from vidintel.infrastructure.database.videos import video_of_row
from vidintel.settings import DatabaseSettings

_STATEMENTS_AT_ONCE = 2

_PROGRESS = """
    SELECT count(*) AS segments_total,
           count(*) FILTER (WHERE segments.status = 'done') AS segments_done,
           coalesce(sum(segments.sample_count), 0) AS frames_total,
           coalesce(sum(segments.frames_done), 0) AS frames_done
    FROM segments WHERE segments.job_id = job.id AND segments.tenant_id = job.tenant_id
"""
_ASKED = (bindparam("tenants", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Uuid)))

_VIDEOS = text(f"""
    SELECT video.tenant_id, video.id,
           CAST(json_build_object(
               'video', row_to_json(video), 'job', row_to_json(job), 'progress', row_to_json(progress)
           ) AS text)
    FROM unnest(:tenants, :ids) AS asked(tenant_id, id)
    JOIN videos AS video ON video.tenant_id = asked.tenant_id AND video.id = asked.id
    LEFT JOIN LATERAL (
        SELECT * FROM jobs WHERE jobs.tenant_id = video.tenant_id AND jobs.video_id = video.id
        ORDER BY jobs.created_at DESC, jobs.id DESC LIMIT 1
    ) AS job ON true
    LEFT JOIN LATERAL ({_PROGRESS}) AS progress ON job.id IS NOT NULL
""").bindparams(*_ASKED)  # noqa: S608 - made of constants

_JOBS = text(f"""
    SELECT job.tenant_id, job.id,
           CAST(json_build_object('job', row_to_json(job), 'progress', row_to_json(progress)) AS text)
    FROM unnest(:tenants, :ids) AS asked(tenant_id, id)
    JOIN jobs AS job ON job.tenant_id = asked.tenant_id AND job.id = asked.id
    CROSS JOIN LATERAL ({_PROGRESS}) AS progress
""").bindparams(*_ASKED)  # noqa: S608 - made of constants

Document = str
"""JSON of the rows that an answer is made of."""


class ReportDocuments(Protocol):
    """Where documents come from; ``None`` for what is not there, or is another tenant's."""

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> Document | None: ...

    async def job(self, tenant_id: TenantId, job_id: JobId) -> Document | None: ...


def create_read_engine(url: str, settings: DatabaseSettings) -> AsyncEngine:
    """Few connections that can only read, without transactions around statements, and not tested before each use."""
    return create_async_engine(
        url,
        connect_args=connect_args(settings, "vidintel-reads", default_transaction_read_only="on"),
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        pool_size=_STATEMENTS_AT_ONCE,
        max_overflow=0,
        pool_reset_on_return=None,
    )


class SqlReportDocuments:
    """`ReportDocuments` by one statement, which all share who ask at the same moment."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._videos = GatheredReads(self._read_videos, at_once=_STATEMENTS_AT_ONCE)
        self._jobs = GatheredReads(self._read_jobs, at_once=_STATEMENTS_AT_ONCE)

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> Document | None:
        return await self._videos.get((tenant_id.value, video_id))

    async def job(self, tenant_id: TenantId, job_id: JobId) -> Document | None:
        return await self._jobs.get((tenant_id.value, job_id))

    async def _read_videos(self, keys: Sequence[tuple[str, UUID]]) -> Mapping[tuple[str, UUID], Document]:
        return await self._read(_VIDEOS, keys)

    async def _read_jobs(self, keys: Sequence[tuple[str, UUID]]) -> Mapping[tuple[str, UUID], Document]:
        return await self._read(_JOBS, keys)

    async def _read(self, statement: Any, keys: Sequence[tuple[str, UUID]]) -> Mapping[tuple[str, UUID], Document]:
        asked = {"tenants": [tenant for tenant, _ in keys], "ids": [row_id for _, row_id in keys]}
        try:
            try:
                rows = await self._rows(statement, asked)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The server was restarted since this connection was last used. Reading twice does no harm.
                rows = await self._rows(statement, asked)
        except Exception as error:
            if not is_outage(error):
                raise
            raise ServiceUnavailable("The database does not answer. Try again in a moment.") from error
        return {(row[0], row[1]): row[2] for row in rows}

    async def _rows(self, statement: Any, values: Mapping[str, object]) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement, values)).all()


class StoredVideoReads:
    """`VideoReads` made of documents."""

    def __init__(self, documents: ReportDocuments) -> None:
        self._documents = documents

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> VideoReport | None:
        document = await self._documents.video(tenant_id, video_id)
        if document is None:
            return None
        stored = json.loads(document)
        report = None if stored["job"] is None else _job_report(stored)
        return VideoReport(video_of_row(_row(stored["video"], _VIDEO_TYPES)), report)

    async def job(self, tenant_id: TenantId, job_id: JobId) -> JobReport | None:
        document = await self._documents.job(tenant_id, job_id)
        return None if document is None else _job_report(json.loads(document))


def _job_report(stored: dict[str, Any]) -> JobReport:
    return JobReport(job_of_row(_row(stored["job"], _JOB_TYPES)), JobProgress(**stored["progress"]))


def _types(table: Table) -> Mapping[str, Callable[[Any], object]]:
    """How to read back, by column, what JSON has no type for; a whole number may stand for a fraction in it."""
    read: Mapping[type[Any], Callable[[Any], object]] = {DateTime: datetime.fromisoformat, Uuid: UUID, Double: float}
    return {column.name: read[type(column.type)] for column in table.c if type(column.type) in read}


_VIDEO_TYPES = _types(videos)
_JOB_TYPES = _types(jobs)


def _row(stored: dict[str, Any], types: Mapping[str, Callable[[Any], object]]) -> Any:
    for name, read in types.items():
        if stored[name] is not None:
            stored[name] = read(stored[name])
    return SimpleNamespace(**stored)
