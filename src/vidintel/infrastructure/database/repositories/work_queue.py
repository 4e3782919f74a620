"""Due work, handed out fairly over tenants."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.application.ports import DueWork
from vidintel.domain.analysis import JobStage
from vidintel.domain.identity import TenantId

LOOKAHEAD = 4
"""Candidates per piece asked for, so that dispatchers at work at the same moment find enough that is not locked."""

# Candidates are read without locks, at most `:candidates` for each tenant and through indexes that begin with what is
# due first. Then exactly as many are locked as are handed out, in the order of fairness: every tenant's first piece
# before any tenant's second, and tenants in the order in which they were served, those never served first. Older jobs
# come first within a tenant, then segments by their place in the video.
TAKE_DUE = text("""
WITH tenants AS (
    SELECT tenant_id, coalesce(array_position(CAST(:served AS text[]), tenant_id), 0) AS served
    FROM (SELECT DISTINCT tenant_id FROM jobs WHERE status IN ('queued', 'running')) AS active
), candidates AS MATERIALIZED (
    SELECT piece.stage, piece.id, tenants.tenant_id,
           row_number() OVER (ORDER BY piece.turn, tenants.served, piece.created_at, piece.id) AS rank
    FROM tenants CROSS JOIN LATERAL (
        SELECT due.stage, due.id, due.created_at,
               row_number() OVER (ORDER BY due.created_at, due.job_id, due.ordinal) AS turn
        FROM (
            (SELECT jobs.stage, jobs.id, jobs.created_at, jobs.id AS job_id, -1 AS ordinal
             FROM jobs
             WHERE jobs.tenant_id = tenants.tenant_id AND jobs.status IN ('queued', 'running')
               AND jobs.stage <> 'analyse' AND jobs.owner IS NULL AND jobs.due_at <= :now
             ORDER BY jobs.created_at, jobs.id LIMIT :candidates)
            UNION ALL
            (SELECT 'analyse', segment.id, job.created_at, job.id, segment.ordinal
             FROM (
                 SELECT jobs.id, jobs.created_at FROM jobs
                 WHERE jobs.tenant_id = tenants.tenant_id AND jobs.status = 'running' AND jobs.stage = 'analyse'
                   AND EXISTS (
                       SELECT FROM segments
                       WHERE segments.job_id = jobs.id AND segments.status = 'pending' AND segments.due_at <= :now
                   )
                 ORDER BY jobs.created_at, jobs.id LIMIT :candidates
             ) AS job CROSS JOIN LATERAL (
                 SELECT segments.id, segments.ordinal FROM segments
                 WHERE segments.job_id = job.id AND segments.status = 'pending' AND segments.due_at <= :now
                 ORDER BY segments.ordinal LIMIT :candidates
             ) AS segment
             ORDER BY job.created_at, job.id, segment.ordinal LIMIT :candidates)
        ) AS due
        ORDER BY due.created_at, due.job_id, due.ordinal LIMIT :candidates
    ) AS piece
    ORDER BY piece.turn, tenants.served, piece.created_at, piece.id LIMIT :candidates
), locked_jobs AS (
    SELECT candidates.stage, candidates.id, candidates.tenant_id, candidates.rank
    FROM candidates JOIN jobs ON jobs.id = candidates.id AND jobs.stage = candidates.stage
    WHERE jobs.status IN ('queued', 'running') AND jobs.owner IS NULL AND jobs.due_at <= :now
    ORDER BY candidates.rank LIMIT :limit FOR NO KEY UPDATE OF jobs SKIP LOCKED
), locked_segments AS (
    SELECT candidates.stage, candidates.id, candidates.tenant_id, candidates.rank
    FROM candidates JOIN segments ON segments.id = candidates.id
    WHERE candidates.stage = 'analyse' AND segments.status = 'pending' AND segments.due_at <= :now
    ORDER BY candidates.rank LIMIT :limit FOR NO KEY UPDATE OF segments SKIP LOCKED
), taken AS MATERIALIZED (
    SELECT * FROM locked_jobs UNION ALL SELECT * FROM locked_segments ORDER BY rank LIMIT :limit
), moved_jobs AS (
    UPDATE jobs SET due_at = :redispatch_at FROM taken WHERE jobs.id = taken.id AND taken.stage <> 'analyse'
), moved_segments AS (
    UPDATE segments SET due_at = :redispatch_at FROM taken WHERE segments.id = taken.id AND taken.stage = 'analyse'
)
SELECT stage, id, tenant_id FROM taken ORDER BY rank
""")


class SqlWorkQueue:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take_due(
        self, now: datetime, limit: int, redispatch_at: datetime, served: Sequence[TenantId] = ()
    ) -> Sequence[DueWork]:
        values = {
            "now": now,
            "limit": limit,
            "candidates": LOOKAHEAD * limit,
            "redispatch_at": redispatch_at,
            "served": [tenant.value for tenant in served],
        }
        rows = await self._session.execute(TAKE_DUE, values)
        return [DueWork(JobStage(row.stage), row.id, TenantId(row.tenant_id)) for row in rows]
