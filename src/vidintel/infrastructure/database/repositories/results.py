"""Results of jobs, their snapshots, and objects that are scheduled for deletion, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Integer, and_, cast, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.application.ports import Snapshot
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.identity import TenantId
from vidintel.domain.results import JobResults
from vidintel.domain.video import StoredContent, VideoId
from vidintel.infrastructure.database.repositories.documents import results_of_documents, results_to_documents
from vidintel.infrastructure.database.tables import ai_results, jobs, object_deletions, snapshots

_MOST_DOUBLINGS = 10
"""A failed removal is retried after 1, 2, 4, … minutes, and finally every 17 hours."""


class SqlResultRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, job: AnalysisJob, results: JobResults) -> None:
        rows = [
            {"job_id": job.id, "kind": kind, "tenant_id": job.tenant_id.value, "data": document}
            for kind, document in results_to_documents(results).items()
        ]
        if not rows:
            return
        statement = insert(ai_results).values(rows)
        key = [ai_results.c.job_id, ai_results.c.kind]
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=key, set_={"data": statement.excluded.data})
        )

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> JobResults:
        of_job = (ai_results.c.tenant_id == tenant_id.value, ai_results.c.job_id == job_id)
        query = select(ai_results.c.kind, ai_results.c.data).where(*of_job)
        return results_of_documents({row.kind: row.data for row in await self._session.execute(query)})


class SqlSnapshotRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put_all(self, job: AnalysisJob, pictures: Sequence[Snapshot]) -> None:
        await self._session.execute(delete(snapshots).where(snapshots.c.job_id == job.id))
        rows = [
            {
                "job_id": job.id,
                "name": picture.name,
                "tenant_id": job.tenant_id.value,
                "key": picture.content.key,
                "size_bytes": picture.content.size_bytes,
                "sha256": picture.content.sha256,
            }
            for picture in pictures
        ]
        if rows:
            await self._session.execute(insert(snapshots), rows)

    async def get(self, tenant_id: TenantId, job_id: JobId, name: str) -> Snapshot | None:
        is_it = (snapshots.c.tenant_id == tenant_id.value, snapshots.c.job_id == job_id, snapshots.c.name == name)
        row = (await self._session.execute(select(snapshots).where(*is_it))).one_or_none()
        return None if row is None else Snapshot(row.name, StoredContent(row.key, row.size_bytes, row.sha256))

    async def keys_of_video(self, tenant_id: TenantId, video_id: VideoId) -> Sequence[str]:
        query = select(snapshots.c.key).join(jobs, jobs.c.id == snapshots.c.job_id)
        query = query.where(snapshots.c.tenant_id == tenant_id.value, jobs.c.video_id == video_id)
        return (await self._session.scalars(query.order_by(snapshots.c.key))).all()


class SqlObjectDeletions:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def schedule(self, key: str, due_at: datetime) -> None:
        statement = insert(object_deletions).values(key=key, due_at=due_at)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=[object_deletions.c.key], set_={"due_at": due_at})
        )

    async def forget(self, key: str) -> bool:
        untouched = and_(object_deletions.c.key == key, object_deletions.c.attempts == 0)
        statement = delete(object_deletions).where(untouched).returning(object_deletions.c.key)
        return (await self._session.execute(statement)).one_or_none() is not None

    async def take_due(self, now: datetime, limit: int) -> Sequence[str]:
        query = select(object_deletions.c.key).where(object_deletions.c.due_at <= now)
        query = query.order_by(object_deletions.c.due_at, object_deletions.c.key).limit(limit)
        keys = (await self._session.scalars(query.with_for_update(skip_locked=True))).all()
        minutes = func.power(2, func.least(object_deletions.c.attempts, _MOST_DOUBLINGS))
        again_at = literal(now, object_deletions.c.due_at.type) + func.make_interval(
            0, 0, 0, 0, 0, cast(minutes, Integer)
        )
        await self._session.execute(
            update(object_deletions)
            .where(object_deletions.c.key.in_(keys))
            .values(attempts=object_deletions.c.attempts + 1, due_at=again_at)
        )
        return keys

    async def removed(self, keys: Sequence[str]) -> None:
        await self._session.execute(delete(object_deletions).where(object_deletions.c.key.in_(keys)))
