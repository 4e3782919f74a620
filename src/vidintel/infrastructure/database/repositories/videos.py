"""Videos in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Double,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.application.ports import Page, VideoFilter
from vidintel.domain.errors import VideoNotFound
from vidintel.domain.identity import TenantId, UserId
from vidintel.domain.retention import RetentionRules
from vidintel.domain.video import (
    CameraId,
    JobId,
    MediaInfo,
    SourceKind,
    StoredContent,
    Video,
    VideoId,
    VideoSource,
    VideoStatus,
)
from vidintel.infrastructure.database.repositories import cursors
from vidintel.infrastructure.database.repositories.mapping import failure_to_entity, failure_to_row, note_change
from vidintel.infrastructure.database.tables import detections, jobs, videos, work_items

_BATCH_ROWS = 20_000

# Seconds, not days: a day of PostgreSQL's is not always one of 24 hours.
_ALIGN_EXPIRY = text("""
    UPDATE videos SET expires_at = wanted.expires_at
    FROM (
        SELECT video.id, ruled.expires_at
        FROM videos AS video
        LEFT JOIN unnest(:tenants, :kept) AS own(tenant_id, seconds) ON own.tenant_id = video.tenant_id
        CROSS JOIN LATERAL (
            SELECT video.created_at + make_interval(
                secs => CASE WHEN own.tenant_id IS NULL THEN :default ELSE own.seconds END
            ) AS expires_at
        ) AS ruled
        WHERE video.expires_at IS DISTINCT FROM ruled.expires_at
        ORDER BY video.id LIMIT :limit
        FOR NO KEY UPDATE OF video
    ) AS wanted
    WHERE videos.id = wanted.id RETURNING videos.id
""").bindparams(
    bindparam("tenants", type_=ARRAY(Text)), bindparam("kept", type_=ARRAY(Double)), bindparam("default", type_=Double)
)


class SqlVideoRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, video: Video) -> None:
        await self._session.execute(insert(videos).values(_to_row(video)))

    async def get(self, tenant_id: TenantId, video_id: VideoId) -> Video | None:
        return await self._one(_owned(tenant_id, video_id))

    async def get_for_update(self, tenant_id: TenantId, video_id: VideoId) -> Video | None:
        return await self._one(_owned(tenant_id, video_id).with_for_update(key_share=True))

    async def of_job_for_update(self, tenant_id: TenantId, job_id: JobId) -> Video | None:
        of_job = select(jobs.c.video_id).where(jobs.c.id == job_id, jobs.c.tenant_id == tenant_id.value)
        query = select(videos).where(videos.c.tenant_id == tenant_id.value, videos.c.id == of_job.scalar_subquery())
        return await self._one(query.with_for_update(key_share=True))

    async def save(self, video: Video) -> None:
        saved = await self._session.execute(
            update(videos).where(_is(video.tenant_id, video.id)).values(_to_row(video)).returning(videos.c.id)
        )
        if saved.one_or_none() is None:
            raise VideoNotFound(video.id)
        note_change(self._session, video.id)

    async def delete(self, tenant_id: TenantId, video_id: VideoId) -> None:
        # The locks keep new jobs and new detections away until the rows are gone.
        if await self._one(_owned(tenant_id, video_id).with_for_update()) is None:
            return
        job_ids = (
            await self._session.scalars(
                select(jobs.c.id).where(jobs.c.video_id == video_id).order_by(jobs.c.id).with_for_update()
            )
        ).all()
        await self._session.execute(delete(work_items).where(work_items.c.group_id.in_([video_id, *job_ids])))
        for job_id in job_ids:
            await self._delete_detections(job_id)
        await self._session.execute(delete(videos).where(_is(tenant_id, video_id)))
        note_change(self._session, video_id)

    async def align_expiry(self, rules: RetentionRules, limit: int) -> int:
        own = rules.tenants.items()
        values = {
            "limit": limit,
            "default": _seconds(rules.default),
            "tenants": [tenant.value for tenant, _ in own],
            "kept": [_seconds(kept) for _, kept in own],
        }
        return len((await self._session.execute(_ALIGN_EXPIRY, values)).all())

    async def expired(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, VideoId]]:
        query = select(videos.c.tenant_id, videos.c.id).where(videos.c.expires_at <= now)
        rows = await self._session.execute(query.order_by(videos.c.expires_at, videos.c.id).limit(limit))
        return [(TenantId(row.tenant_id), VideoId(row.id)) for row in rows]

    async def list(self, tenant_id: TenantId, filter_: VideoFilter, page: Page) -> tuple[Sequence[Video], str | None]:
        query = select(videos).where(videos.c.tenant_id == tenant_id.value)
        if filter_.status is not None:
            query = query.where(videos.c.status == filter_.status.value)
        if filter_.camera_id is not None:
            query = query.where(videos.c.camera_id == filter_.camera_id.value)
        if page.cursor is not None:
            query = query.where(tuple_(videos.c.created_at, videos.c.id) < cursors.decode_newest(page.cursor))
        query = query.order_by(videos.c.created_at.desc(), videos.c.id.desc()).limit(page.limit + 1)
        found = [video_of_row(row) for row in await self._session.execute(query)]
        return cursors.page_of_newest(found, page.limit)

    async def _delete_detections(self, job_id: UUID) -> None:
        """In batches, each of which stays well below the timeout for statements."""
        after: int | None = -1
        while after is not None:
            rest = and_(detections.c.job_id == job_id, detections.c.frame > after)
            frames = select(detections.c.frame).where(rest).order_by(detections.c.frame)
            until: int | None = await self._session.scalar(frames.offset(_BATCH_ROWS).limit(1))
            batch = rest if until is None else and_(rest, detections.c.frame <= until)
            await self._session.execute(delete(detections).where(batch))
            after = until

    async def _one(self, query: Select[Any]) -> Video | None:
        row = (await self._session.execute(query)).one_or_none()
        return None if row is None else video_of_row(row)


def _is(tenant_id: TenantId, video_id: VideoId) -> ColumnElement[bool]:
    return and_(videos.c.tenant_id == tenant_id.value, videos.c.id == video_id)


def _owned(tenant_id: TenantId, video_id: VideoId) -> Select[Any]:
    return select(videos).where(_is(tenant_id, video_id))


def _to_row(video: Video) -> dict[str, object]:
    content, media = video.content, video.media
    return {
        "id": video.id,
        "tenant_id": video.tenant_id.value,
        "created_by": video.created_by.value,
        "source_kind": video.source.kind.value,
        "source_name": video.source.name,
        "title": video.title,
        "description": video.description,
        "captured_at": video.captured_at,
        "camera_id": video.camera_id.value if video.camera_id else None,
        "created_at": video.created_at,
        "updated_at": video.updated_at,
        "expires_at": video.expires_at,
        "status": video.status.value,
        "content_key": content.key if content else None,
        "content_size_bytes": content.size_bytes if content else None,
        "content_sha256": content.sha256 if content else None,
        "media_container": media.container if media else None,
        "media_codec": media.codec if media else None,
        "media_width": media.width if media else None,
        "media_height": media.height if media else None,
        "media_rotation": media.rotation if media else None,
        "media_duration_s": media.duration_s if media else None,
        "media_frame_rate": media.frame_rate if media else None,
        "media_frame_count": media.frame_count if media else None,
        **failure_to_row(video.failure),
        "current_job_id": video.current_job_id,
    }


def video_of_row(row: Row[Any]) -> Video:
    return Video(
        id=VideoId(row.id),
        tenant_id=TenantId(row.tenant_id),
        created_by=UserId(row.created_by),
        source=VideoSource(SourceKind(row.source_kind), row.source_name),
        title=row.title,
        description=row.description,
        captured_at=row.captured_at,
        camera_id=None if row.camera_id is None else CameraId(row.camera_id),
        created_at=row.created_at,
        _updated_at=row.updated_at,
        _expires_at=row.expires_at,
        _status=VideoStatus(row.status),
        _content=_content(row),
        _media=_media(row),
        _failure=failure_to_entity(row),
        _current_job_id=None if row.current_job_id is None else JobId(row.current_job_id),
    )


def _seconds(kept: timedelta | None) -> float | None:
    return None if kept is None else kept.total_seconds()


def _content(row: Row[Any]) -> StoredContent | None:
    if row.content_key is None:
        return None
    return StoredContent(row.content_key, row.content_size_bytes, row.content_sha256)


def _media(row: Row[Any]) -> MediaInfo | None:
    if row.media_container is None:
        return None
    return MediaInfo(
        container=row.media_container,
        codec=row.media_codec,
        width=row.media_width,
        height=row.media_height,
        rotation=row.media_rotation,
        duration_s=row.media_duration_s,
        frame_rate=row.media_frame_rate,
        frame_count=row.media_frame_count,
    )
