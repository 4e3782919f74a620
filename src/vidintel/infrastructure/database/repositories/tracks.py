"""Tracks in PostgreSQL: staged in temporary tables by COPY, then published by set-based statements."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    MetaData,
    Row,
    Table,
    and_,
    delete,
    false,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateIndex, CreateTable

from vidintel.application.ports import Page, TrackFilter
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.detection import BoundingBox
from vidintel.domain.geometry import Point
from vidintel.domain.identity import TenantId
from vidintel.domain.tracking import ROUNDING_S, BestShot, PathPoint, Track, TrackedFrame
from vidintel.infrastructure.database.repositories import cursors
from vidintel.infrastructure.database.repositories.bulk import copy_rows
from vidintel.infrastructure.database.tables import detections, tracks

_BATCH_ROWS = 20_000
_COLUMNS = ("track_id", "label", "confidence", "first_seen_s", "last_seen_s", "points", "path", "best_shot")

# These tables exist only within a transaction, so no migration creates them.
_temporary = MetaData()


def _staging(name: str, target: Table, columns: Sequence[str]) -> Table:
    """A temporary table with ``columns`` of ``target``."""
    copies = [Column(each, target.c[each].type, nullable=False) for each in columns]
    return Table(name, _temporary, *copies, prefixes=["TEMPORARY"], postgresql_on_commit="DROP")


_points = _staging("staged_points", detections, ("frame", "position", "track_id"))
_points_by_frame = Index("ix_staged_points_frame", _points.c.frame)
_tracks = _staging("staged_tracks", tracks, _COLUMNS)


class SqlTrackRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def stage(self, frames: Iterable[TrackedFrame], finished: Iterable[Track]) -> None:
        await self._prepare()
        await copy_rows(self._session, _points.name, ("frame", "position", "track_id"), _to_points(frames))
        await copy_rows(self._session, _tracks.name, _COLUMNS, map(_to_record, finished))

    async def publish(self, job: AnalysisJob) -> None:
        await self._prepare()
        of_job = detections.c.job_id == job.id
        replaced = await self._session.scalars(
            delete(tracks).where(tracks.c.job_id == job.id).returning(tracks.c.track_id)
        )
        if replaced.first() is not None:
            await self._session.execute(update(detections).where(of_job).values(track_id=None))
        staged = select(literal(job.id, tracks.c.job_id.type), literal(job.tenant_id.value), _tracks)
        await self._session.execute(insert(tracks).from_select(["job_id", "tenant_id", *_COLUMNS], staged))
        await self._session.execute(CreateIndex(_points_by_frame))
        await self._session.execute(text(f"ANALYZE {_points.name}"))
        same = and_(of_job, detections.c.frame == _points.c.frame, detections.c.position == _points.c.position)
        frames, after = (detections.c.frame, _points.c.frame), -1
        # The statistics of rows that were written a moment ago are not there yet, and a nested loop would then be taken
        # that reads all of the job's detections for each staged one.
        await self._session.execute(text("SET LOCAL enable_nestloop = off"))
        # In batches, each of which stays well below the timeout for statements.
        while (until := await self._end_of_batch(after)) is not None:
            within = and_(*(each > after for each in frames), *(each <= until for each in frames))
            await self._session.execute(
                update(detections).where(same, within).values(track_id=_points.c.track_id),
                execution_options={"synchronize_session": False},
            )
            after = until
        await self._session.execute(text("SET LOCAL enable_nestloop = on"))

    async def get(self, tenant_id: TenantId, job_id: JobId, track_id: int) -> Track | None:
        query = select(tracks).where(_is(tenant_id, job_id), tracks.c.track_id == track_id)
        row = (await self._session.execute(query)).one_or_none()
        return None if row is None else _to_track(row)

    async def list(
        self, tenant_id: TenantId, job_id: JobId, filter_: TrackFilter, page: Page
    ) -> tuple[Sequence[Track], str | None]:
        if filter_.label is not None and "\x00" in filter_.label:
            return [], None  # PostgreSQL's text type cannot hold NUL
        query = select(tracks).where(_is(tenant_id, job_id), *_matches(filter_))
        if page.cursor is not None:
            query = query.where(tracks.c.track_id > cursors.decode_track(page.cursor))
        rows = (await self._session.execute(query.order_by(tracks.c.track_id).limit(page.limit + 1))).all()
        shown = [_to_track(row) for row in rows[: page.limit]]
        return shown, cursors.encode_track(shown[-1].track_id) if len(rows) > page.limit else None

    async def _prepare(self) -> None:
        for table in (_points, _tracks):
            await self._session.execute(CreateTable(table, if_not_exists=True))

    async def _end_of_batch(self, after: int) -> int | None:
        following = select(_points.c.frame).where(_points.c.frame > after).order_by(_points.c.frame).limit(_BATCH_ROWS)
        until: int | None = await self._session.scalar(select(func.max(following.subquery().c.frame)))
        return until


def _is(tenant_id: TenantId, job_id: JobId) -> ColumnElement[bool]:
    return and_(tracks.c.tenant_id == tenant_id.value, tracks.c.job_id == job_id)


def _matches(filter_: TrackFilter) -> Iterator[ColumnElement[bool]]:
    if filter_.label is not None:
        yield tracks.c.label == filter_.label
    if filter_.from_s is not None:
        yield tracks.c.last_seen_s >= filter_.from_s
    if filter_.to_s is not None:
        yield tracks.c.first_seen_s < filter_.to_s
    if filter_.from_s is not None and filter_.to_s is not None and filter_.from_s >= filter_.to_s:
        yield false()  # there is no time within
    if filter_.min_duration_s is not None:
        yield tracks.c.last_seen_s - tracks.c.first_seen_s >= filter_.min_duration_s - ROUNDING_S


def _to_points(frames: Iterable[TrackedFrame]) -> Iterator[tuple[object, ...]]:
    for tracked in frames:
        for position, track_id in enumerate(tracked.track_ids):
            if track_id is not None:
                yield tracked.frame.frame, position, track_id


def _to_record(track: Track) -> tuple[object, ...]:
    path = [[point.time_s, point.at.x, point.at.y] for point in track.path]
    plain = (track.track_id, track.label, track.confidence, track.first_seen_s, track.last_seen_s, track.points)
    return (*plain, json.dumps(path), json.dumps(asdict(track.best_shot)))


def _to_track(row: Row[Any]) -> Track:
    shot = row.best_shot
    return Track(
        track_id=row.track_id,
        label=row.label,
        confidence=row.confidence,
        first_seen_s=row.first_seen_s,
        last_seen_s=row.last_seen_s,
        points=row.points,
        path=tuple(PathPoint(time_s, Point(x, y)) for time_s, x, y in row.path),
        best_shot=BestShot(shot["frame"], shot["time_s"], BoundingBox(**shot["box"])),
    )
