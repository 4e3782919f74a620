"""Detections in PostgreSQL: written by COPY, read by keyset.

Their only index is by job and frame, as each more would slow down COPY by a fifth. Moments are found through it as
well: frames are in order of time, and the segments tell which frames may lie before or after a moment.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Double, Row, and_, func, literal, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.application.ports import DetectionFilter, DetectionRow, Page
from vidintel.domain.analysis import JobId
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.identity import TenantId
from vidintel.domain.segment import Segment
from vidintel.domain.tracking import TrackedFrame
from vidintel.domain.video import VideoId
from vidintel.infrastructure.database.repositories import cursors
from vidintel.infrastructure.database.repositories.bulk import copy_rows
from vidintel.infrastructure.database.tables import detections, segments

_LAST_FRAME = 2**31 - 1
_BOX = ("x1", "y1", "x2", "y2")
_COPIED = (
    *("job_id", "segment_id", "tenant_id", "video_id", "frame", "time_s", "position", "label", "confidence"),
    *_BOX,
    "reused",
    "appearance",
)
_READ = tuple(
    detections.c[name] for name in ("frame", "position", "time_s", "label", "confidence", *_BOX, "track_id", "reused")
)
_WHOLE = (*_READ, detections.c.appearance)


class SqlDetectionRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_all(self, segment: Segment, video_id: VideoId, frames: Iterable[FrameDetections]) -> int:
        return await copy_rows(self._session, detections.name, _COPIED, _to_records(segment, video_id, frames))

    async def list(
        self, tenant_id: TenantId, job_id: JobId, filter_: DetectionFilter, page: Page
    ) -> tuple[Sequence[DetectionRow], str | None]:
        if filter_.label is not None and "\x00" in filter_.label:
            return [], None  # PostgreSQL's text type cannot hold NUL
        query = select(*_READ).where(_is(tenant_id, job_id), *_matches(job_id, filter_))
        if page.cursor is not None:
            after = cursors.decode_position(page.cursor)
            query = query.where(tuple_(detections.c.frame, detections.c.position) > after)
        query = query.order_by(detections.c.frame, detections.c.position).limit(page.limit + 1)
        rows = (await self._session.execute(query)).all()
        shown = rows[: page.limit]
        more = cursors.encode_position(shown[-1].frame, shown[-1].position) if len(rows) > page.limit else None
        return [_to_detection_row(row) for row in shown], more

    async def frames(self, job_id: JobId, *, after: int, limit: int) -> Sequence[FrameDetections]:
        query = select(*_WHOLE).where(detections.c.job_id == job_id, detections.c.frame > after)
        # With ties, so that all detections of a frame are returned together.
        query = query.order_by(detections.c.frame).fetch(limit, with_ties=True)
        rows = sorted(await self._session.execute(query), key=lambda row: (row.frame, row.position))
        return [_to_frame(list(of_frame)) for _, of_frame in groupby(rows, key=lambda row: row.frame)]

    async def at(
        self, tenant_id: TenantId, job_id: JobId, time_s: float, *, min_confidence: float = 0.0
    ) -> TrackedFrame | None:
        shown = and_(_is(tenant_id, job_id), _is_sure(min_confidence))
        moments = select(detections.c.frame, detections.c.time_s).where(shown)
        before = moments.where(detections.c.time_s <= time_s, detections.c.frame < _frame_after(job_id, time_s))
        after = moments.where(detections.c.time_s > time_s, detections.c.frame >= _frame_before(job_id, time_s))
        before = before.order_by(detections.c.frame.desc()).limit(1)
        after = after.order_by(detections.c.frame).limit(1)
        near = union_all(before, after).subquery()
        distance = func.abs(near.c.time_s - literal(time_s))
        nearest = select(near.c.frame).order_by(distance, near.c.time_s).limit(1).scalar_subquery()
        query = select(*_WHOLE).where(shown, detections.c.frame == nearest)
        rows = (await self._session.execute(query.order_by(detections.c.position))).all()
        return TrackedFrame(_to_frame(rows), tuple(row.track_id for row in rows)) if rows else None


def _is(tenant_id: TenantId, job_id: JobId) -> ColumnElement[bool]:
    return and_(detections.c.tenant_id == tenant_id.value, detections.c.job_id == job_id)


def _is_sure(min_confidence: float) -> ColumnElement[bool]:
    # Compared in 64 bits, as `FrameDetections.at_least` does with what is read back.
    return detections.c.confidence >= literal(min_confidence, Double)


def _frame_before(job_id: JobId, time_s: float) -> ColumnElement[int]:
    """A frame not after ``time_s``, nor more than a segment before it."""
    begun = select(func.max(segments.c.first_frame)).where(segments.c.job_id == job_id, segments.c.start_s <= time_s)
    return func.coalesce(begun.scalar_subquery(), 0)


def _frame_after(job_id: JobId, time_s: float) -> ColumnElement[int]:
    """A frame after ``time_s``, by no more than a segment."""
    to_come = select(func.min(segments.c.first_frame)).where(segments.c.job_id == job_id, segments.c.start_s > time_s)
    return func.coalesce(to_come.scalar_subquery(), _LAST_FRAME)


def _matches(job_id: JobId, filter_: DetectionFilter) -> Iterator[ColumnElement[bool]]:
    if filter_.label is not None:
        yield detections.c.label == filter_.label
    if filter_.min_confidence is not None:
        yield _is_sure(filter_.min_confidence)
    if filter_.from_s is not None:
        yield detections.c.time_s >= filter_.from_s
        yield detections.c.frame >= _frame_before(job_id, filter_.from_s)
    if filter_.to_s is not None:
        yield detections.c.time_s < filter_.to_s
        yield detections.c.frame < _frame_after(job_id, filter_.to_s)


def _to_records(segment: Segment, video_id: VideoId, frames: Iterable[FrameDetections]) -> Iterator[tuple[object, ...]]:
    owner = (segment.job_id, segment.id, segment.tenant_id.value, video_id)
    for frame in frames:
        for position, seen in enumerate(frame.detections):
            box = (seen.box.x1, seen.box.y1, seen.box.x2, seen.box.y2)
            what = (seen.label, seen.confidence, *box, frame.reused, seen.appearance)
            yield (*owner, frame.frame, frame.time_s, position, *what)


def _to_box(row: Row[Any]) -> BoundingBox:
    # Rounding to 32 bits is monotonic and keeps 0 and 1, so a valid box stays valid.
    return BoundingBox(row.x1, row.y1, row.x2, row.y2)


def _to_detection_row(row: Row[Any]) -> DetectionRow:
    return DetectionRow(row.frame, row.time_s, row.label, row.confidence, _to_box(row), row.track_id, row.reused)


def _to_frame(rows: Sequence[Row[Any]]) -> FrameDetections:
    seen = tuple(Detection(row.label, row.confidence, _to_box(row), row.appearance) for row in rows)
    return FrameDetections(rows[0].frame, rows[0].time_s, seen, rows[0].reused)
