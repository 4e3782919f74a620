"""Events that wait to be told to the outside, written in the transaction that makes them true."""

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.domain.analysis import JobId
from vidintel.domain.events import JobEvent, JobEventKind
from vidintel.domain.identity import TenantId
from vidintel.infrastructure.database.tables import outbox


class SqlOutbox:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, event: JobEvent) -> None:
        await self._session.execute(
            insert(outbox).values(
                id=event.id,
                tenant_id=event.tenant_id.value,
                job_id=event.job_id,
                run_number=event.run_number,
                kind=event.kind.value,
                payload=event.payload,
                created_at=event.created_at,
            )
        )

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> Sequence[JobEvent]:
        of_job = (outbox.c.tenant_id == tenant_id.value, outbox.c.job_id == job_id)
        rows = await self._session.execute(select(outbox).where(*of_job).order_by(outbox.c.run_number))
        return [
            JobEvent(
                id=row.id,
                tenant_id=tenant_id,
                job_id=job_id,
                run_number=row.run_number,
                kind=JobEventKind(row.kind),
                payload=row.payload,
                created_at=row.created_at,
            )
            for row in rows
        ]
