"""The repositories in memory, for `tests.support.fakes.InMemoryUnitOfWork`."""

import builtins
import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Generic, TypeVar
from uuid import UUID

from vidintel.application.ports import (
    DetectionFilter,
    DetectionRow,
    DueWork,
    JobProgress,
    Page,
    Snapshot,
    TrackFilter,
    VideoFilter,
)
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.detection import Detection, FrameDetections
from vidintel.domain.errors import (
    JobAlreadyActive,
    JobNotFound,
    LeaseLost,
    VideoNotFound,
)
from vidintel.domain.events import Event
from vidintel.domain.identity import TenantId
from vidintel.domain.results import JobResults
from vidintel.domain.retention import RetentionRules
from vidintel.domain.segment import Segment, SegmentId, SegmentStatus
from vidintel.domain.shots import ShotChanges
from vidintel.domain.tracking import ROUNDING_S, Track, TrackedFrame
from vidintel.domain.video import MediaWarning, Video, VideoId
from vidintel.domain.work import Work, WorkItem, WorkItemId
from vidintel.infrastructure.database.repositories import cursors

Key = TypeVar("Key")
Row = TypeVar("Row")
Listed = TypeVar("Listed", Video, AnalysisJob)


@dataclass(frozen=True, slots=True)
class _StoredDetection:
    tenant_id: TenantId
    job_id: JobId
    row: DetectionRow
    position: int
    appearance: bytes


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """One row of ``event_deliveries``."""

    due_at: datetime
    attempts: int = 0
    failure: str | None = None
    died_at: datetime | None = None


@dataclass
class Store:
    """What was committed."""

    videos: dict[VideoId, Video] = field(default_factory=dict)
    jobs: dict[JobId, AnalysisJob] = field(default_factory=dict)
    segments: dict[SegmentId, Segment] = field(default_factory=dict)
    detections: dict[tuple[JobId, int, int], _StoredDetection] = field(default_factory=dict)
    tracks: dict[tuple[JobId, int], tuple[TenantId, Track]] = field(default_factory=dict)
    results: dict[JobId, tuple[TenantId, JobResults]] = field(default_factory=dict)
    snapshots: dict[tuple[JobId, str], tuple[TenantId, Snapshot]] = field(default_factory=dict)
    object_deletions: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    work_items: dict[WorkItemId, WorkItem] = field(default_factory=dict)
    outbox: dict[int, Event] = field(default_factory=dict)
    positions: Iterator[int] = field(default_factory=lambda: count(1))
    event_subscribers: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    event_subscriptions: dict[tuple[str, str], datetime] = field(default_factory=dict)
    event_deliveries: dict[tuple[str, int], StoredDelivery] = field(default_factory=dict)


class Table(Generic[Key, Row]):
    """The rows of one table as one transaction sees them: what is committed, under what it wrote itself."""

    def __init__(self, committed: dict[Key, Row]) -> None:
        self._committed = committed
        self._written: dict[Key, Row | None] = {}

    def get(self, key: Key) -> Row | None:
        found = self._written[key] if key in self._written else self._committed.get(key)
        return copy.copy(found)

    def put(self, key: Key, row: Row) -> None:
        self._written[key] = copy.copy(row)

    def remove(self, key: Key) -> None:
        self._written[key] = None

    def items(self) -> Iterator[tuple[Key, Row]]:
        for key in {**self._committed, **self._written}:
            row = self.get(key)
            if row is not None:
                yield key, row

    def where(self, matches: Callable[[Row], bool]) -> list[Row]:
        return [row for _, row in self.items() if matches(row)]

    def commit(self) -> None:
        for key, row in self._written.items():
            if row is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = row
        self._written.clear()


class Transaction:
    def __init__(self, store: Store) -> None:
        self.videos = Table(store.videos)
        self.jobs = Table(store.jobs)
        self.segments = Table(store.segments)
        self.detections = Table(store.detections)
        self.tracks = Table(store.tracks)
        self.results = Table(store.results)
        self.snapshots = Table(store.snapshots)
        self.object_deletions = Table(store.object_deletions)
        self.work_items = Table(store.work_items)
        self.positions = store.positions
        self.outbox = Table(store.outbox)
        self.event_subscribers = Table(store.event_subscribers)
        self.event_subscriptions = Table(store.event_subscriptions)
        self.event_deliveries = Table(store.event_deliveries)
        self.staged_frames: list[TrackedFrame] = []
        self.staged_tracks: list[Track] = []

    def commit(self) -> None:
        for table in (self.videos, self.jobs, self.segments, self.detections, self.tracks, self.results):
            table.commit()
        self.snapshots.commit()
        self.object_deletions.commit()
        self.work_items.commit()
        self.outbox.commit()
        self.event_subscribers.commit()
        self.event_subscriptions.commit()
        self.event_deliveries.commit()
        self.staged_frames, self.staged_tracks = [], []


class Videos:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def add(self, video: Video) -> None:
        self._tables.videos.put(video.id, video)

    async def get(self, tenant_id: TenantId, video_id: VideoId) -> Video | None:
        video = self._tables.videos.get(video_id)
        return video if video is not None and video.tenant_id == tenant_id else None

    async def get_for_update(self, tenant_id: TenantId, video_id: VideoId) -> Video | None:
        return await self.get(tenant_id, video_id)

    async def of_job_for_update(self, tenant_id: TenantId, job_id: JobId) -> Video | None:
        job = self._tables.jobs.get(job_id)
        return None if job is None else await self.get(tenant_id, job.video_id)

    async def save(self, video: Video) -> None:
        if await self.get(video.tenant_id, video.id) is None:
            raise VideoNotFound(video.id)
        self._tables.videos.put(video.id, video)

    async def delete(self, tenant_id: TenantId, video_id: VideoId) -> None:
        if await self.get(tenant_id, video_id) is None:
            return
        gone = {job.id for job in self._tables.jobs.where(lambda job: job.video_id == video_id)}
        for segment in self._tables.segments.where(lambda segment: segment.job_id in gone):
            self._tables.segments.remove(segment.id)
        for detection, _ in list(self._tables.detections.items()):
            if detection[0] in gone:
                self._tables.detections.remove(detection)
        for track, _ in list(self._tables.tracks.items()):
            if track[0] in gone:
                self._tables.tracks.remove(track)
        for picture, _ in list(self._tables.snapshots.items()):
            if picture[0] in gone:
                self._tables.snapshots.remove(picture)
        for item in self._tables.work_items.where(lambda item: item.group_id in {video_id, *gone}):
            self._tables.work_items.remove(item.id)
        for job_id in gone:
            self._tables.results.remove(job_id)
            self._tables.jobs.remove(job_id)
        self._tables.videos.remove(video_id)

    async def align_expiry(self, rules: RetentionRules, limit: int) -> int:
        changed = 0
        for video in self._tables.videos.where(lambda _: True):
            wanted = rules.expires_at(video.tenant_id, video.created_at)
            if video.expires_at != wanted and changed < limit:
                video._expires_at = wanted
                self._tables.videos.put(video.id, video)
                changed += 1
        return changed

    async def expired(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, VideoId]]:
        every = self._tables.videos.where(lambda _: True)
        due = [(each.expires_at, each.id, each.tenant_id) for each in every if each.expires_at is not None]
        over = sorted((row for row in due if row[0] <= now), key=lambda row: row[:2])
        return [(tenant_id, video_id) for _, video_id, tenant_id in over[:limit]]

    async def list(self, tenant_id: TenantId, filter_: VideoFilter, page: Page) -> tuple[Sequence[Video], str | None]:
        matching = self._tables.videos.where(
            lambda video: (
                video.tenant_id == tenant_id
                and filter_.status in (None, video.status)
                and filter_.camera_id in (None, video.camera_id)
            )
        )
        return _newest(matching, page)


class Jobs:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def add(self, job: AnalysisJob) -> None:
        self._put(job)

    async def get(self, tenant_id: TenantId, job_id: JobId) -> AnalysisJob | None:
        job = self._tables.jobs.get(job_id)
        return job if job is not None and job.tenant_id == tenant_id else None

    async def get_for_update(self, tenant_id: TenantId, job_id: JobId) -> AnalysisJob | None:
        return await self.get(tenant_id, job_id)

    async def peek(self, job_id: JobId) -> AnalysisJob | None:
        return self._tables.jobs.get(job_id)

    async def save(self, job: AnalysisJob) -> None:
        if await self.get(job.tenant_id, job.id) is None:
            raise JobNotFound(job.id)
        self._put(job)

    async def latest_of_video(self, tenant_id: TenantId, video_id: VideoId) -> AnalysisJob | None:
        return next(iter((await self.list_of_video(tenant_id, video_id, Page(limit=1)))[0]), None)

    async def list_of_video(
        self, tenant_id: TenantId, video_id: VideoId, page: Page
    ) -> tuple[Sequence[AnalysisJob], str | None]:
        return _newest(self._of_video(tenant_id, video_id), page)

    async def progress(self, tenant_id: TenantId, job_id: JobId) -> JobProgress:
        segments = self._tables.segments.where(lambda each: each.tenant_id == tenant_id and each.job_id == job_id)
        return JobProgress(
            segments_total=len(segments),
            segments_done=sum(segment.status is SegmentStatus.DONE for segment in segments),
            frames_total=sum(segment.span.sample_count for segment in segments),
            frames_done=sum(segment.frames_done for segment in segments),
        )

    def _of_video(self, tenant_id: TenantId, video_id: VideoId) -> list[AnalysisJob]:
        return self._tables.jobs.where(lambda job: job.tenant_id == tenant_id and job.video_id == video_id)

    def _put(self, job: AnalysisJob) -> None:
        others = self._tables.jobs.where(lambda other: other.video_id == job.video_id and other.id != job.id)
        if not job.status.is_final and any(not other.status.is_final for other in others):
            raise JobAlreadyActive
        self._tables.jobs.put(job.id, job)


class Segments:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def add_all(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            self._tables.segments.put(segment.id, segment)

    async def get_for_update(self, segment_id: SegmentId) -> Segment | None:
        return self._tables.segments.get(segment_id)

    async def peek(self, segment_id: SegmentId) -> Segment | None:
        return self._tables.segments.get(segment_id)

    async def save(self, segment: Segment) -> None:
        if self._tables.segments.get(segment.id) is None:
            raise LeaseLost("The segment was deleted meanwhile.")
        self._tables.segments.put(segment.id, segment)

    async def of_job(self, job_id: JobId, status: SegmentStatus) -> Sequence[Segment]:
        found = self._tables.segments.where(lambda each: each.job_id == job_id and each.status is status)
        return sorted(found, key=lambda segment: segment.span.index)

    async def count_unfinished(self, job_id: JobId) -> int:
        return len(
            self._tables.segments.where(lambda each: each.job_id == job_id and each.status is not SegmentStatus.DONE)
        )

    async def count(self, job_id: JobId) -> int:
        return len(self._tables.segments.where(lambda each: each.job_id == job_id))

    async def frames_reused(self, job_id: JobId) -> int:
        return sum(each.frames_reused for each in self._tables.segments.where(lambda each: each.job_id == job_id))

    async def warnings(self, job_id: JobId) -> Sequence[MediaWarning]:
        found = self._tables.segments.where(lambda each: each.job_id == job_id)
        by_index = sorted(found, key=lambda segment: segment.span.index)
        return [warning for segment in by_index for warning in segment.warnings]

    async def shots(self, job_id: JobId) -> Sequence[ShotChanges]:
        found = self._tables.segments.where(lambda each: each.job_id == job_id)
        by_index = sorted(found, key=lambda segment: segment.span.index)
        return [segment.shots for segment in by_index if segment.shots is not None]

    async def save_progress(self, segment_id: SegmentId, frames_done: int) -> None:
        segment = self._tables.segments.get(segment_id)
        if segment is not None and segment.status is SegmentStatus.PENDING:
            segment._frames_done = frames_done
            self._tables.segments.put(segment_id, segment)


class Detections:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def add_all(self, segment: Segment, video_id: VideoId, frames: Iterable[FrameDetections]) -> int:
        count = 0
        for frame in frames:
            for position, seen in enumerate(frame.detections):
                row = DetectionRow(frame.frame, frame.time_s, seen.label, seen.confidence, seen.box, None, frame.reused)
                stored = _StoredDetection(segment.tenant_id, segment.job_id, row, position, seen.appearance)
                self._tables.detections.put((segment.job_id, frame.frame, position), stored)
                count += 1
        return count

    async def list(
        self, tenant_id: TenantId, job_id: JobId, filter_: DetectionFilter, page: Page
    ) -> tuple[Sequence[DetectionRow], str | None]:
        after = (-1, -1) if page.cursor is None else cursors.decode_position(page.cursor)
        matching = [
            stored
            for stored in self._of_job(job_id)
            if stored.tenant_id == tenant_id
            and (stored.row.frame, stored.position) > after
            and _matches(stored.row, filter_)
        ]
        shown = matching[: page.limit]
        more = len(matching) > page.limit
        cursor = cursors.encode_position(shown[-1].row.frame, shown[-1].position) if more else None
        return [stored.row for stored in shown], cursor

    async def frames(self, job_id: JobId, *, after: int, limit: int) -> Sequence[FrameDetections]:
        found: builtins.list[FrameDetections] = []
        for tracked in self._frames(self._of_job(job_id)):
            if tracked.frame.frame > after and sum(len(frame.detections) for frame in found) < limit:
                found.append(tracked.frame)
        return found

    async def at(
        self, tenant_id: TenantId, job_id: JobId, time_s: float, *, min_confidence: float = 0.0
    ) -> TrackedFrame | None:
        frames = self._frames(
            [
                stored
                for stored in self._of_job(job_id)
                if stored.tenant_id == tenant_id and stored.row.confidence >= min_confidence
            ]
        )
        return min(frames, key=lambda seen: (abs(seen.frame.time_s - time_s), seen.frame.time_s), default=None)

    def _of_job(self, job_id: JobId) -> Sequence[_StoredDetection]:
        found = self._tables.detections.where(lambda stored: stored.job_id == job_id)
        return sorted(found, key=lambda stored: (stored.row.frame, stored.position))

    def _frames(self, stored: Sequence[_StoredDetection]) -> Iterator[TrackedFrame]:
        frames = defaultdict[int, builtins.list[_StoredDetection]](builtins.list)
        for each in stored:
            frames[each.row.frame].append(each)
        for number, of_frame in frames.items():
            seen = tuple(
                Detection(each.row.label, each.row.confidence, each.row.box, each.appearance) for each in of_frame
            )
            frame = FrameDetections(number, of_frame[0].row.time_s, seen, of_frame[0].row.reused)
            yield TrackedFrame(frame, tuple(each.row.track_id for each in of_frame))


class Tracks:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def stage(self, frames: Iterable[TrackedFrame], tracks: Iterable[Track]) -> None:
        self._tables.staged_frames += frames
        self._tables.staged_tracks += tracks

    async def publish(self, job: AnalysisJob) -> None:
        for key, _ in list(self._tables.tracks.items()):
            if key[0] == job.id:
                self._tables.tracks.remove(key)
        for place, stored in list(self._tables.detections.items()):
            if place[0] == job.id:
                self._tables.detections.put(place, replace(stored, row=replace(stored.row, track_id=None)))
        for track in self._tables.staged_tracks:
            self._tables.tracks.put((job.id, track.track_id), (job.tenant_id, track))
        for tracked in self._tables.staged_frames:
            for position, track_id in enumerate(tracked.track_ids):
                place = (job.id, tracked.frame.frame, position)
                found = self._tables.detections.get(place)
                if found is not None and track_id is not None:
                    self._tables.detections.put(place, replace(found, row=replace(found.row, track_id=track_id)))

    async def get(self, tenant_id: TenantId, job_id: JobId, track_id: int) -> Track | None:
        found = self._tables.tracks.get((job_id, track_id))
        return found[1] if found is not None and found[0] == tenant_id else None

    async def list(
        self, tenant_id: TenantId, job_id: JobId, filter_: TrackFilter, page: Page
    ) -> tuple[Sequence[Track], str | None]:
        after = 0 if page.cursor is None else cursors.decode_track(page.cursor)
        matching = [
            track
            for (of, _), (owner, track) in sorted(self._tables.tracks.items(), key=lambda item: item[0][1])
            if of == job_id and owner == tenant_id and track.track_id > after and _is_wanted(track, filter_)
        ]
        shown = matching[: page.limit]
        return shown, cursors.encode_track(shown[-1].track_id) if len(matching) > page.limit else None


class Results:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def put(self, job: AnalysisJob, results: JobResults) -> None:
        before = await self.of_job(job.tenant_id, job.id)
        given = {kind.name: getattr(results, kind.name) for kind in fields(results)}
        merged = replace(before, **{kind: result for kind, result in given.items() if result is not None})
        self._tables.results.put(job.id, (job.tenant_id, merged))

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> JobResults:
        found = self._tables.results.get(job_id)
        return found[1] if found is not None and found[0] == tenant_id else JobResults()


class Snapshots:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def put_all(self, job: AnalysisJob, pictures: Sequence[Snapshot]) -> None:
        for key, _ in list(self._tables.snapshots.items()):
            if key[0] == job.id:
                self._tables.snapshots.remove(key)
        for picture in pictures:
            self._tables.snapshots.put((job.id, picture.name), (job.tenant_id, picture))

    async def get(self, tenant_id: TenantId, job_id: JobId, name: str) -> Snapshot | None:
        found = self._tables.snapshots.get((job_id, name))
        return found[1] if found is not None and found[0] == tenant_id else None

    async def keys_of_video(self, tenant_id: TenantId, video_id: VideoId) -> Sequence[str]:
        jobs = {job.id for job in self._tables.jobs.where(lambda job: job.video_id == video_id)}
        return sorted(
            picture.content.key
            for (job_id, _), (owner, picture) in self._tables.snapshots.items()
            if job_id in jobs and owner == tenant_id
        )


class ObjectDeletions:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def schedule(self, key: str, due_at: datetime) -> None:
        found = self._tables.object_deletions.get(key)
        self._tables.object_deletions.put(key, (due_at, 0 if found is None else found[1]))

    async def forget(self, key: str) -> bool:
        found = self._tables.object_deletions.get(key)
        if found is None or found[1] > 0:
            return False
        self._tables.object_deletions.remove(key)
        return True

    async def take_due(self, now: datetime, limit: int) -> Sequence[str]:
        scheduled = sorted((due_at, key, attempts) for key, (due_at, attempts) in self._tables.object_deletions.items())
        due = [(key, attempts) for due_at, key, attempts in scheduled if due_at <= now][:limit]
        for key, attempts in due:
            again_at = now + timedelta(minutes=2 ** min(attempts, 10))
            self._tables.object_deletions.put(key, (again_at, attempts + 1))
        return [key for key, _ in due]

    async def removed(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._tables.object_deletions.remove(key)


class WorkItems:
    def __init__(self, transaction: Transaction) -> None:
        self._tables = transaction

    async def add_all(self, items: Sequence[WorkItem]) -> None:
        for item in items:
            assert self._tables.work_items.get(item.id) is None
            self._tables.work_items.put(item.id, item)

    async def ensure(self, item: WorkItem) -> None:
        if self._tables.work_items.get(item.id) is None:
            self._tables.work_items.put(item.id, item)

    async def get(self, item_id: WorkItemId) -> WorkItem | None:
        return self._tables.work_items.get(item_id)

    async def due(
        self,
        now: datetime,
        limit: int,
        redispatch_at: datetime,
        *,
        kinds: Sequence[str],
        served: Sequence[tuple[TenantId, str]] = (),
    ) -> Sequence[DueWork]:
        place = {flow: number for number, flow in enumerate(served, start=1)}
        of_tenant: dict[TenantId, int] = defaultdict(int)
        for (tenant_id, _), number in place.items():
            of_tenant[tenant_id] = max(of_tenant[tenant_id], number)
        flows = defaultdict[tuple[TenantId, str], list[WorkItem]](list)
        for item in sorted(self._tables.work_items.where(_is_due(now, kinds)), key=_seniority):
            flows[item.tenant_id, item.family].append(item)
        tenants = defaultdict[TenantId, list[tuple[int, int, WorkItem]]](list)
        for flow, items in flows.items():
            tenants[flow[0]] += [(turn, place.get(flow, 0), item) for turn, item in enumerate(items)]
        ranked: list[tuple[int, int, WorkItem]] = []
        for tenant_id, turns in tenants.items():
            ordered = sorted(turns, key=lambda entry: (entry[0], entry[1], _seniority(entry[2])))
            ranked += [(turn, of_tenant[tenant_id], item) for turn, (_, _, item) in enumerate(ordered)]
        ranked.sort(key=lambda entry: (entry[0], entry[1], entry[2].created_at, entry[2].id))
        taken = [item for _, _, item in ranked[:limit]]
        for item in taken:
            self._put(item, replace(item.work, due_at=redispatch_at))
        return [DueWork(item.id, item.kind, item.tenant_id) for item in taken]

    async def claim(self, item_id: WorkItemId, owner: str, now: datetime, due_at: datetime) -> WorkItem | None:
        item = self._tables.work_items.get(item_id)
        if item is None or (item.work.is_held and not item.work.has_expired(now)):
            return None
        self._put(item, item.work.claimed(owner, now, due_at - now))
        return self._tables.work_items.get(item_id)

    async def extend(self, item_id: WorkItemId, token: int, due_at: datetime) -> bool:
        item = self._held(item_id, token)
        if item is None:
            return False
        self._put(item, replace(item.work, due_at=due_at))
        return True

    async def save(self, item: WorkItem, token: int) -> None:
        stored = self._tables.work_items.get(item.id)
        if stored is None or stored.work.token != token:
            raise LeaseLost
        self._tables.work_items.put(item.id, item)

    async def complete(self, item_id: WorkItemId, token: int) -> bool:
        if self._held(item_id, token) is None:
            return False
        self._tables.work_items.remove(item_id)
        return True

    async def cancel_group(self, group_id: UUID, *, spare: WorkItemId | None = None) -> None:
        for item in self._tables.work_items.where(lambda item: item.group_id == group_id and item.id != spare):
            self._tables.work_items.remove(item.id)

    async def expired(self, now: datetime, limit: int) -> Sequence[WorkItem]:
        return self._oldest(lambda item: item.work.has_expired(now), limit)

    async def held_by(self, owner: str, limit: int) -> Sequence[WorkItem]:
        return self._oldest(
            lambda item: item.work.owner is not None and (item.work.owner + "/").startswith(owner + "/"), limit
        )

    def _oldest(self, matches: Callable[[WorkItem], bool], limit: int) -> list[WorkItem]:
        return sorted(self._tables.work_items.where(matches), key=lambda item: item.work.due_at)[:limit]

    def _held(self, item_id: WorkItemId, token: int) -> WorkItem | None:
        item = self._tables.work_items.get(item_id)
        return item if item is not None and item.work.is_held and item.work.token == token else None

    def _put(self, item: WorkItem, work: Work) -> None:
        changed = copy.copy(item)
        changed._work = work
        self._tables.work_items.put(item.id, changed)


def _is_due(now: datetime, kinds: Sequence[str]) -> Callable[[WorkItem], bool]:
    return lambda item: not item.work.is_held and item.work.due_at <= now and item.kind in kinds


def _seniority(item: WorkItem) -> tuple[int, datetime, UUID, int, UUID]:
    return item.priority, item.created_at, item.group_id, item.ordinal, item.id


def _newest(found: Sequence[Listed], page: Page) -> tuple[Sequence[Listed], str | None]:
    ordered = sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)
    if page.cursor is not None:
        after = cursors.decode_newest(page.cursor)
        ordered = [each for each in ordered if (each.created_at, each.id) < after]
    return cursors.page_of_newest(ordered, page.limit)


def _matches(row: DetectionRow, filter_: DetectionFilter) -> bool:
    return (
        filter_.label in (None, row.label)
        and (filter_.min_confidence is None or row.confidence >= filter_.min_confidence)
        and (filter_.from_s is None or row.time_s >= filter_.from_s)
        and (filter_.to_s is None or row.time_s < filter_.to_s)
    )


def _is_wanted(track: Track, filter_: TrackFilter) -> bool:
    return (
        filter_.label in (None, track.label)
        and (filter_.from_s is None or track.last_seen_s >= filter_.from_s)
        and (filter_.to_s is None or track.first_seen_s < filter_.to_s)
        and (filter_.from_s is None or filter_.to_s is None or filter_.from_s < filter_.to_s)
        and (filter_.min_duration_s is None or track.duration_s >= filter_.min_duration_s - ROUNDING_S)
    )
