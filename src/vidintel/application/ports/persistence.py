"""Repositories, and the unit of work that groups their calls into one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from vidintel.application.ports.events import EventDeliveries, Outbox
from vidintel.application.ports.work import DueWork
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.detection import BoundingBox, FrameDetections
from vidintel.domain.identity import TenantId
from vidintel.domain.results import JobResults
from vidintel.domain.retention import RetentionRules
from vidintel.domain.segment import Segment, SegmentId, SegmentStatus
from vidintel.domain.shots import ShotChanges
from vidintel.domain.tracking import Track, TrackedFrame
from vidintel.domain.video import CameraId, MediaWarning, StoredContent, Video, VideoId, VideoStatus
from vidintel.domain.work import WorkItem, WorkItemId


@dataclass(frozen=True, slots=True)
class Page:
    """A keyset page: at most ``limit`` rows after the opaque ``cursor``."""

    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class VideoFilter:
    status: VideoStatus | None = None
    camera_id: CameraId | None = None


@dataclass(frozen=True, slots=True)
class DetectionFilter:
    """Times are seconds: ``from_s <= time < to_s``. ``min_confidence`` lies in 0..1."""

    label: str | None = None
    min_confidence: float | None = None
    from_s: float | None = None
    to_s: float | None = None


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """One detection as stored."""

    frame: int
    time_s: float
    label: str
    confidence: float
    box: BoundingBox
    track_id: int | None
    reused: bool = False


@dataclass(frozen=True, slots=True)
class TrackFilter:
    """Tracks that start before ``to_s``, end at ``from_s`` or later, and last at least ``min_duration_s`` (seconds)."""

    label: str | None = None
    from_s: float | None = None
    to_s: float | None = None
    min_duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class JobProgress:
    """The progress of a job. Frames are analysed frames; the totals are 0 until the job is planned."""

    segments_total: int
    segments_done: int
    frames_total: int
    frames_done: int


# Locks are taken in one order everywhere: video, then job, then segment, then work item. A lock taken for an update
# must not block foreign-key checks (``FOR NO KEY UPDATE``). ``detections`` carry no foreign keys: checking one per row
# would halve the speed of COPY. Code that deletes a job therefore locks its row first and deletes its detections too.


class VideoRepository(Protocol):
    async def add(self, video: Video) -> None: ...

    async def get(self, tenant_id: TenantId, video_id: VideoId) -> Video | None:
        """The tenant's video, read only."""
        ...

    async def get_for_update(self, tenant_id: TenantId, video_id: VideoId) -> Video | None:
        """The tenant's video, its row locked until the transaction ends; follow with `save`."""
        ...

    async def of_job_for_update(self, tenant_id: TenantId, job_id: JobId) -> Video | None:
        """The video of the job, locked as by `get_for_update`."""
        ...

    async def save(self, video: Video) -> None: ...

    async def delete(self, tenant_id: TenantId, video_id: VideoId) -> None:
        """Remove it with its jobs, segments, detections, tracks and results."""
        ...

    async def align_expiry(self, rules: RetentionRules, limit: int) -> int:
        """Apply ``rules`` to ``expires_at`` of up to ``limit`` videos of any tenant; returns how many changed."""
        ...

    async def expired(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, VideoId]]:
        """Expired videos of any tenant, by time of expiry, the earliest first; rows NOT locked."""
        ...

    async def list(self, tenant_id: TenantId, filter_: VideoFilter, page: Page) -> tuple[Sequence[Video], str | None]:
        """Newest first, and the cursor of the next page. Raises `ValidationError` for a bad cursor."""
        ...


class JobRepository(Protocol):
    async def add(self, job: AnalysisJob) -> None:
        """Raises `JobAlreadyActive` when the video has a job that is queued or running."""
        ...

    async def get(self, tenant_id: TenantId, job_id: JobId) -> AnalysisJob | None: ...

    async def get_for_update(self, tenant_id: TenantId, job_id: JobId) -> AnalysisJob | None: ...

    async def peek(self, job_id: JobId) -> AnalysisJob | None:
        """For workers, whose messages carry an id only: any tenant's job, its row NOT locked."""
        ...

    async def save(self, job: AnalysisJob) -> None:
        """Raises `JobAlreadyActive` as `add` does."""
        ...

    async def latest_of_video(self, tenant_id: TenantId, video_id: VideoId) -> AnalysisJob | None:
        """The newest job of the video."""
        ...

    async def list_of_video(
        self, tenant_id: TenantId, video_id: VideoId, page: Page
    ) -> tuple[Sequence[AnalysisJob], str | None]:
        """Newest first."""
        ...

    async def progress(self, tenant_id: TenantId, job_id: JobId) -> JobProgress: ...


class SegmentRepository(Protocol):
    async def add_all(self, segments: Sequence[Segment]) -> None: ...

    async def get_for_update(self, segment_id: SegmentId) -> Segment | None:
        """Any tenant's segment, its row locked."""
        ...

    async def peek(self, segment_id: SegmentId) -> Segment | None:
        """Any tenant's segment, its row NOT locked."""
        ...

    async def save(self, segment: Segment) -> None: ...

    async def of_job(self, job_id: JobId, status: SegmentStatus) -> Sequence[Segment]:
        """The job's segments with that status, by index; rows locked."""
        ...

    async def count_unfinished(self, job_id: JobId) -> int:
        """How many of the job's segments are not done."""
        ...

    async def count(self, job_id: JobId) -> int: ...

    async def frames_reused(self, job_id: JobId) -> int:
        """How many frames of the job took over the detections of a similar frame."""
        ...

    async def warnings(self, job_id: JobId) -> Sequence[MediaWarning]:
        """The warnings of all of the job's segments, by index of the segment."""
        ...

    async def shots(self, job_id: JobId) -> Sequence[ShotChanges]:
        """The shot changes within each of the job's segments that has any frames, by index of the segment."""
        ...

    async def save_progress(self, segment_id: SegmentId, frames_done: int) -> None:
        """Store how many frames of an unfinished segment are analysed so far."""
        ...


class DetectionRepository(Protocol):
    async def add_all(self, segment: Segment, video_id: VideoId, frames: Iterable[FrameDetections]) -> int:
        """Write all detections of a segment in bulk; returns how many. Frames without detections leave no row."""
        ...

    async def list(
        self, tenant_id: TenantId, job_id: JobId, filter_: DetectionFilter, page: Page
    ) -> tuple[Sequence[DetectionRow], str | None]:
        """By frame, then by position in the frame. Raises `ValidationError` for a bad cursor."""
        ...

    async def frames(self, job_id: JobId, *, after: int, limit: int) -> Sequence[FrameDetections]:
        """The job's frames with detections after frame number ``after``, in presentation order.

        Returns whole frames with ``limit`` detections or a few more, and nothing after the last frame. To read all
        frames, begin with -1 and continue after the last returned number; each call may use another transaction.
        """
        ...

    async def at(
        self, tenant_id: TenantId, job_id: JobId, time_s: float, *, min_confidence: float = 0.0
    ) -> TrackedFrame | None:
        """The frame nearest to ``time_s`` that has detections of ``min_confidence`` or more, with those."""
        ...


class TrackRepository(Protocol):
    async def stage(self, frames: Iterable[TrackedFrame], tracks: Iterable[Track]) -> None:
        """Stage, within this transaction, what `publish` will write. Nothing is locked or changed yet."""
        ...

    async def publish(self, job: AnalysisJob) -> None:
        """Replace the job's tracks by the staged ones, and set the track id of each of its detections.

        The job's row must be locked. Positions in a staged frame are those of `DetectionRepository.frames`.
        """
        ...

    async def get(self, tenant_id: TenantId, job_id: JobId, track_id: int) -> Track | None: ...

    async def list(
        self, tenant_id: TenantId, job_id: JobId, filter_: TrackFilter, page: Page
    ) -> tuple[Sequence[Track], str | None]:
        """By id, which is the order of first appearance. Raises `ValidationError` for a bad cursor."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A JPEG that shows what a job found; ``name`` (``poster``, ``shot-7``) is unique within the job."""

    name: str
    content: StoredContent


class SnapshotRepository(Protocol):
    async def put_all(self, job: AnalysisJob, pictures: Sequence[Snapshot]) -> None:
        """Replace the job's pictures."""
        ...

    async def get(self, tenant_id: TenantId, job_id: JobId, name: str) -> Snapshot | None: ...

    async def keys_of_video(self, tenant_id: TenantId, video_id: VideoId) -> Sequence[str]:
        """The objects that hold the pictures of all of the video's jobs."""
        ...


class ResultRepository(Protocol):
    async def put(self, job: AnalysisJob, results: JobResults) -> None:
        """Store the kinds that ``results`` hold, replacing those stored before; the other kinds stay as they are."""
        ...

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> JobResults:
        """All results of a job; empty when there are none."""
        ...


class ObjectDeletions(Protocol):
    """Objects that are scheduled for deletion from the storage at ``due_at``, unless `forget` is called before."""

    async def schedule(self, key: str, due_at: datetime) -> None: ...

    async def forget(self, key: str) -> bool:
        """Cancel the deletion. ``False`` when the object is not scheduled (any more), or its deletion has begun."""
        ...

    async def take_due(self, now: datetime, limit: int) -> Sequence[str]:
        """Keys to remove now; skips rows locked by other transactions. After the commit, `forget` refuses these keys.

        Each key becomes due again after a growing delay, in case its removal fails or this process dies.
        """
        ...

    async def removed(self, keys: Sequence[str]) -> None:
        """The objects are removed from the storage."""
        ...


class WorkItemRepository(Protocol):
    """Unfinished work of any tenant. A transaction locks videos, jobs and segments before items."""

    async def add_all(self, items: Sequence[WorkItem]) -> None:
        """Store new items with their cause."""
        ...

    async def ensure(self, item: WorkItem) -> None:
        """Store the item unless one with its id exists."""
        ...

    async def get(self, item_id: WorkItemId) -> WorkItem | None:
        """The item, its row NOT locked."""
        ...

    async def due(
        self,
        now: datetime,
        limit: int,
        redispatch_at: datetime,
        *,
        kinds: Sequence[str],
        served: Sequence[tuple[TenantId, str]] = (),
    ) -> Sequence[DueWork]:
        """Up to ``limit`` items of ``kinds`` that are due and not held. Sets their ``due_at`` to ``redispatch_at``.

        Tenants take turns, and so do the families of kinds within a tenant. Flows not in ``served`` come first; the
        others come in the order of ``served``. If a message is lost, its item is due again at ``redispatch_at``.
        """
        ...

    async def claim(self, item_id: WorkItemId, owner: str, now: datetime, due_at: datetime) -> WorkItem | None:
        """Claim the item for ``owner`` until ``due_at``; ``None`` when it is gone or another lease on it is valid."""
        ...

    async def extend(self, item_id: WorkItemId, token: int, due_at: datetime) -> bool:
        """Heartbeat: extends the lease. ``False`` when the token is no longer the holder's."""
        ...

    async def save(self, item: WorkItem, token: int) -> None:
        """Store the item, which was loaded with ``token``. Raises `LeaseLost` when its token has changed since."""
        ...

    async def complete(self, item_id: WorkItemId, token: int) -> bool:
        """Remove an item that is done or given up; ``False`` when the token is no longer the holder's."""
        ...

    async def cancel_group(self, group_id: UUID, *, spare: WorkItemId | None = None) -> None:
        """Remove all items of the group except ``spare``; their holders can no longer write."""
        ...

    async def expired(self, now: datetime, limit: int) -> Sequence[WorkItem]:
        """Items held under an expired lease, the oldest first; rows NOT locked."""
        ...

    async def held_by(self, owner: str, limit: int) -> Sequence[WorkItem]:
        """Items held by ``owner`` or by a process that it started (``owner/…``); rows NOT locked."""
        ...


class UnitOfWork(Protocol):
    """One transaction: leaving the block without `commit` rolls everything back."""

    @property
    def videos(self) -> VideoRepository: ...
    @property
    def jobs(self) -> JobRepository: ...
    @property
    def segments(self) -> SegmentRepository: ...
    @property
    def detections(self) -> DetectionRepository: ...
    @property
    def tracks(self) -> TrackRepository: ...
    @property
    def snapshots(self) -> SnapshotRepository: ...
    @property
    def results(self) -> ResultRepository: ...
    @property
    def object_deletions(self) -> ObjectDeletions: ...
    @property
    def work_items(self) -> WorkItemRepository: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def event_deliveries(self) -> EventDeliveries: ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def notify_work(self) -> None:
        """Wake the dispatchers when, and only if, this transaction commits."""
        ...

    async def commit(self) -> None: ...


class UnitOfWorkFactory(Protocol):
    def __call__(self) -> UnitOfWork: ...
