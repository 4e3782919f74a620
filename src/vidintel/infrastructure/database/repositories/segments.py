"""Segments in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, Select, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.domain.analysis import JobId
from vidintel.domain.errors import LeaseLost
from vidintel.domain.identity import TenantId
from vidintel.domain.segment import Segment, SegmentId, SegmentSpan, SegmentStatus
from vidintel.domain.shots import FrameColours, ShotChanges
from vidintel.domain.video import MediaWarning
from vidintel.infrastructure.database.repositories.mapping import (
    failure_to_entity,
    failure_to_row,
)
from vidintel.infrastructure.database.tables import segments


class SqlSegmentRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_all(self, segments_: Sequence[Segment]) -> None:
        if segments_:
            await self._session.execute(insert(segments), [_to_row(segment) for segment in segments_])

    async def get_for_update(self, segment_id: SegmentId) -> Segment | None:
        return await self._one(select(segments).where(segments.c.id == segment_id).with_for_update(key_share=True))

    async def peek(self, segment_id: SegmentId) -> Segment | None:
        return await self._one(select(segments).where(segments.c.id == segment_id))

    async def save(self, segment: Segment) -> None:
        is_segment = segments.c.id == segment.id
        saved = await self._session.execute(
            update(segments).where(is_segment).values(_to_row(segment)).returning(segments.c.id)
        )
        if saved.one_or_none() is None:
            raise LeaseLost("The segment was deleted meanwhile.")

    async def of_job(self, job_id: JobId, status: SegmentStatus) -> Sequence[Segment]:
        matching = and_(segments.c.job_id == job_id, segments.c.status == status.value)
        query = select(segments).where(matching).order_by(segments.c.ordinal)
        return await self._all(query.with_for_update(key_share=True))

    async def count_unfinished(self, job_id: JobId) -> int:
        unfinished = and_(segments.c.job_id == job_id, segments.c.status != SegmentStatus.DONE.value)
        return (await self._session.execute(select(func.count()).where(unfinished))).scalar_one()

    async def count(self, job_id: JobId) -> int:
        return (await self._session.execute(select(func.count()).where(segments.c.job_id == job_id))).scalar_one()

    async def frames_reused(self, job_id: JobId) -> int:
        reused = select(func.coalesce(func.sum(segments.c.frames_reused), 0)).where(segments.c.job_id == job_id)
        return int((await self._session.execute(reused)).scalar_one())

    async def warnings(self, job_id: JobId) -> Sequence[MediaWarning]:
        has_some = and_(segments.c.job_id == job_id, segments.c.warnings != [])
        query = select(segments.c.warnings).where(has_some).order_by(segments.c.ordinal)
        return [_warning(each) for row in await self._session.execute(query) for each in row.warnings]

    async def shots(self, job_id: JobId) -> Sequence[ShotChanges]:
        has_some = and_(segments.c.job_id == job_id, segments.c.shots.is_not(None))
        query = select(segments.c.shots).where(has_some).order_by(segments.c.ordinal)
        return [_shots(stored) for stored in await self._session.scalars(query)]

    async def save_progress(self, segment_id: SegmentId, frames_done: int) -> None:
        is_pending = and_(segments.c.id == segment_id, segments.c.status == SegmentStatus.PENDING.value)
        await self._session.execute(update(segments).where(is_pending).values(frames_done=frames_done))

    async def _one(self, query: Select[Any]) -> Segment | None:
        row = (await self._session.execute(query)).one_or_none()
        return None if row is None else _to_entity(row)

    async def _all(self, query: Select[Any]) -> list[Segment]:
        return [_to_entity(row) for row in await self._session.execute(query)]


def _to_row(segment: Segment) -> dict[str, object]:
    span = segment.span
    return {
        "id": segment.id,
        "job_id": segment.job_id,
        "tenant_id": segment.tenant_id.value,
        "ordinal": span.index,
        "start_s": span.start_s,
        "end_s": span.end_s,
        "first_frame": span.first_frame,
        "frame_count": span.frame_count,
        "sample_count": span.sample_count,
        "seekable": span.seekable,
        "status": segment.status.value,
        "frames_done": segment.frames_done,
        "frames_reused": segment.frames_reused,
        "warnings": [asdict(warning) for warning in segment.warnings],
        "shots": None if segment.shots is None else asdict(segment.shots),
        **failure_to_row(segment.failure),
    }


def _to_entity(row: Row[Any]) -> Segment:
    return Segment(
        id=SegmentId(row.id),
        job_id=JobId(row.job_id),
        tenant_id=TenantId(row.tenant_id),
        span=SegmentSpan(
            index=row.ordinal,
            start_s=row.start_s,
            end_s=row.end_s,
            first_frame=row.first_frame,
            frame_count=row.frame_count,
            sample_count=row.sample_count,
            seekable=row.seekable,
        ),
        _status=SegmentStatus(row.status),
        _frames_done=row.frames_done,
        _frames_reused=row.frames_reused,
        _failure=failure_to_entity(row),
        _warnings=tuple(_warning(each) for each in row.warnings),
        _shots=None if row.shots is None else _shots(row.shots),
    )


def _warning(stored: dict[str, Any]) -> MediaWarning:
    return MediaWarning(stored["code"], stored["detail"], stored["at_s"])


def _shots(stored: dict[str, Any]) -> ShotChanges:
    first, last = (FrameColours(stored[end]["time_s"], tuple(stored[end]["counts"])) for end in ("first", "last"))
    return ShotChanges(first, last, tuple(stored["times_s"]))
