"""`VideoReads` from PostgreSQL: a video, its newest job and that job's progress in one statement.

The statement returns one JSON document, which can be cached as it is.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import DateTime, Double, Table, Uuid

from vidintel.application.ports import JobProgress, JobReport, VideoReport
from vidintel.domain.analysis import JobId
from vidintel.domain.identity import TenantId
from vidintel.domain.video import VideoId
from vidintel.infrastructure.database.read_model.connection import ReadConnection
from vidintel.infrastructure.database.read_model.data_loader import DataLoader
from vidintel.infrastructure.database.repositories.jobs import job_of_row
from vidintel.infrastructure.database.repositories.videos import video_of_row
from vidintel.infrastructure.database.tables import jobs, videos
from vidintel.settings.model import DatabaseSettings

_DECODED = 1024

_PROGRESS = """
    SELECT count(*) AS segments_total,
           count(*) FILTER (WHERE segments.status = 'done') AS segments_done,
           coalesce(sum(segments.sample_count), 0) AS frames_total,
           coalesce(sum(segments.frames_done), 0) AS frames_done
    FROM segments WHERE segments.job_id = job.id AND segments.tenant_id = job.tenant_id
"""

_VIDEOS = f"""
    SELECT video.tenant_id, video.id,
           CAST(json_build_object(
               'video', row_to_json(video), 'job', row_to_json(job), 'progress', row_to_json(progress)
           ) AS text),
           CAST(pg_current_snapshot() AS text), video.id
    FROM unnest($1::text[], $2::uuid[]) AS asked(tenant_id, id)
    JOIN videos AS video ON video.tenant_id = asked.tenant_id AND video.id = asked.id
    LEFT JOIN LATERAL (
        SELECT * FROM jobs WHERE jobs.tenant_id = video.tenant_id AND jobs.video_id = video.id
        ORDER BY jobs.created_at DESC, jobs.id DESC LIMIT 1
    ) AS job ON true
    LEFT JOIN LATERAL ({_PROGRESS}) AS progress ON job.id IS NOT NULL
"""  # noqa: S608 - made of constants

_JOBS = f"""
    SELECT job.tenant_id, job.id,
           CAST(json_build_object('job', row_to_json(job), 'progress', row_to_json(progress)) AS text),
           CAST(pg_current_snapshot() AS text), job.video_id
    FROM unnest($1::text[], $2::uuid[]) AS asked(tenant_id, id)
    JOIN jobs AS job ON job.tenant_id = asked.tenant_id AND job.id = asked.id
    CROSS JOIN LATERAL ({_PROGRESS}) AS progress
"""  # noqa: S608 - made of constants


class Document(NamedTuple):
    """The rows of a response as JSON, and the snapshot (`pg_current_snapshot`) that they were read in."""

    text: str
    snapshot: str
    video_id: VideoId


class ReportDocuments(Protocol):
    """A source of documents. A missing document, or another tenant's, is ``None``."""

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> Document | None: ...

    async def job(self, tenant_id: TenantId, job_id: JobId) -> Document | None: ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class SqlReportDocuments:
    """`ReportDocuments` from one statement, which all concurrent requests share."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self._connections = [ReadConnection(url, settings), ReadConnection(url, settings)]
        of_videos, of_jobs = self._connections
        self._videos = DataLoader(partial(_documents, of_videos, _VIDEOS))
        self._jobs = DataLoader(partial(_documents, of_jobs, _JOBS))

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> Document | None:
        return await self._videos.load((tenant_id.value, video_id))

    async def job(self, tenant_id: TenantId, job_id: JobId) -> Document | None:
        return await self._jobs.load((tenant_id.value, job_id))

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()


async def _documents(
    connection: ReadConnection, statement: str, keys: Sequence[tuple[str, UUID]]
) -> Mapping[tuple[str, UUID], Document]:
    tenants, ids = [tenant for tenant, _ in keys], [row_id for _, row_id in keys]
    rows = await connection.fetch(statement, tenants, ids)
    return {(row[0], row[1]): Document(row[2], row[3], VideoId(row[4])) for row in rows}


class StoredVideoReads:
    """`VideoReads` made of documents."""

    def __init__(self, documents: ReportDocuments) -> None:
        self._documents = documents

    async def video(self, tenant_id: TenantId, video_id: VideoId) -> VideoReport | None:
        document = await self._documents.video(tenant_id, video_id)
        return None if document is None else _video_report(document.text)

    async def job(self, tenant_id: TenantId, job_id: JobId) -> JobReport | None:
        document = await self._documents.job(tenant_id, job_id)
        return None if document is None else _job_report(document.text)


# Most rows that are read again have not changed, and need not be decoded again.


@lru_cache(_DECODED)
def _video_report(document: str) -> VideoReport:
    stored = json.loads(document)
    job = None if stored["job"] is None else _job_of(stored)
    return VideoReport(video_of_row(_row(stored["video"], _VIDEO_TYPES)), job)


@lru_cache(_DECODED)
def _job_report(document: str) -> JobReport:
    return _job_of(json.loads(document))


def _job_of(stored: dict[str, Any]) -> JobReport:
    return JobReport(job_of_row(_row(stored["job"], _JOB_TYPES)), JobProgress(**stored["progress"]))


def _types(table: Table) -> Mapping[str, Callable[[Any], object]]:
    """Decoders, by column, for values that JSON has no type for. JSON may also write a float as an integer."""
    read: Mapping[type[Any], Callable[[Any], object]] = {DateTime: datetime.fromisoformat, Uuid: UUID, Double: float}
    return {column.name: read[type(column.type)] for column in table.c if type(column.type) in read}


_VIDEO_TYPES = _types(videos)
_JOB_TYPES = _types(jobs)


def _row(stored: dict[str, Any], types: Mapping[str, Callable[[Any], object]]) -> Any:
    for name, read in types.items():
        if stored[name] is not None:
            stored[name] = read(stored[name])
    return SimpleNamespace(**stored)
