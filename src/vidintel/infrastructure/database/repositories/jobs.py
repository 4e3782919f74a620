"""Jobs in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.application.ports import JobProgress, Page
from vidintel.domain.analysis import AnalysisJob, JobId, JobStage, JobStatus, ModelRef
from vidintel.domain.errors import JobNotFound
from vidintel.domain.identity import TenantId, UserId
from vidintel.domain.segment import SegmentStatus
from vidintel.domain.video import VideoId
from vidintel.infrastructure.database.repositories import cursors
from vidintel.infrastructure.database.repositories.documents import spec_of_document, spec_to_document
from vidintel.infrastructure.database.repositories.mapping import (
    domain_errors,
    failure_to_entity,
    failure_to_row,
    note_change,
)
from vidintel.infrastructure.database.tables import jobs, segments


class SqlJobRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, job: AnalysisJob) -> None:
        with domain_errors():
            await self._session.execute(insert(jobs).values(_to_row(job)))
        note_change(self._session, job.video_id)

    async def get(self, tenant_id: TenantId, job_id: JobId) -> AnalysisJob | None:
        return await self._one(select(jobs).where(_is(tenant_id, job_id)))

    async def get_for_update(self, tenant_id: TenantId, job_id: JobId) -> AnalysisJob | None:
        return await self._one(select(jobs).where(_is(tenant_id, job_id)).with_for_update(key_share=True))

    async def peek(self, job_id: JobId) -> AnalysisJob | None:
        return await self._one(select(jobs).where(jobs.c.id == job_id))

    async def save(self, job: AnalysisJob) -> None:
        statement = update(jobs).where(_is(job.tenant_id, job.id)).values(_to_row(job)).returning(jobs.c.id)
        with domain_errors():
            saved = (await self._session.execute(statement)).one_or_none()
        if saved is None:
            raise JobNotFound(job.id)
        note_change(self._session, job.video_id)

    async def latest_of_video(self, tenant_id: TenantId, video_id: VideoId) -> AnalysisJob | None:
        return await self._one(_newest_of_video(tenant_id, video_id).limit(1))

    async def list_of_video(
        self, tenant_id: TenantId, video_id: VideoId, page: Page
    ) -> tuple[Sequence[AnalysisJob], str | None]:
        query = _newest_of_video(tenant_id, video_id).limit(page.limit + 1)
        if page.cursor is not None:
            query = query.where(tuple_(jobs.c.created_at, jobs.c.id) < cursors.decode_newest(page.cursor))
        return cursors.page_of_newest(await self._all(query), page.limit)

    async def progress(self, tenant_id: TenantId, job_id: JobId) -> JobProgress:
        query = select(
            func.count(),
            func.count().filter(segments.c.status == SegmentStatus.DONE.value),
            func.coalesce(func.sum(segments.c.sample_count), 0),
            func.coalesce(func.sum(segments.c.frames_done), 0),
        ).where(segments.c.tenant_id == tenant_id.value, segments.c.job_id == job_id)
        return JobProgress(*(await self._session.execute(query)).one())

    async def _one(self, query: Select[Any]) -> AnalysisJob | None:
        row = (await self._session.execute(query)).one_or_none()
        return None if row is None else job_of_row(row)

    async def _all(self, query: Select[Any]) -> list[AnalysisJob]:
        return [job_of_row(row) for row in await self._session.execute(query)]


def _is(tenant_id: TenantId, job_id: JobId) -> ColumnElement[bool]:
    return and_(jobs.c.tenant_id == tenant_id.value, jobs.c.id == job_id)


def _newest_of_video(tenant_id: TenantId, video_id: VideoId) -> Select[Any]:
    of_video = and_(jobs.c.tenant_id == tenant_id.value, jobs.c.video_id == video_id)
    return select(jobs).where(of_video).order_by(jobs.c.created_at.desc(), jobs.c.id.desc())


def _to_row(job: AnalysisJob) -> dict[str, object]:
    return {
        "id": job.id,
        "tenant_id": job.tenant_id.value,
        "video_id": job.video_id,
        "created_by": job.created_by.value,
        "spec": spec_to_document(job.spec),
        "model_name": job.model.name,
        "model_version": job.model.version,
        "model_sha256": job.model.sha256,
        "created_at": job.created_at,
        "status": job.status.value,
        "stage": job.stage.value,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "run_number": job.run_number,
        **failure_to_row(job.failure),
    }


def job_of_row(row: Row[Any]) -> AnalysisJob:
    return AnalysisJob(
        id=JobId(row.id),
        tenant_id=TenantId(row.tenant_id),
        video_id=VideoId(row.video_id),
        created_by=UserId(row.created_by),
        spec=spec_of_document(row.spec),
        model=ModelRef(row.model_name, row.model_version, row.model_sha256),
        created_at=row.created_at,
        _status=JobStatus(row.status),
        _stage=JobStage(row.stage),
        _started_at=row.started_at,
        _finished_at=row.finished_at,
        _run_number=row.run_number,
        _failure=failure_to_entity(row),
    )
