"""The use cases on in-memory adapters, with a scripted decoder and detector."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid5

from tests.contracts.stored import frames_of
from tests.support.fakes import FakeClock, FakeObjectStorage, InMemoryDatabase
from tests.support.scripted_media import MODEL, ScriptedMedia
from tests.unit.application.snapshot_extractor import FakeSnapshotExtractor
from vidintel.application.jobs.requests import CancelJob, RequestAnalysis, RetryJob
from vidintel.application.jobs.specs import SpecResolver
from vidintel.application.jobs.work import FINISH, PLAN, SEGMENT
from vidintel.application.pipeline.finish import FinishJob
from vidintel.application.pipeline.frame_stages import FrameStages
from vidintel.application.pipeline.frames import FramePipeline, StagesFactory
from vidintel.application.pipeline.plan import PlanJob
from vidintel.application.pipeline.segment import RunSegment
from vidintel.application.pipeline.snapshots import TakeSnapshots
from vidintel.application.ports import SILENT, DueWork, Image, MediaLimits, ModelInfo, Telemetry
from vidintel.application.result import Err, Ok, Result
from vidintel.application.videos.acceptance import AcceptContent
from vidintel.application.videos.library import DeleteVideo
from vidintel.application.videos.registration import RegisteredVideo, RegisterVideo, VideoDetails
from vidintel.application.videos.retention import ApplyRetention
from vidintel.application.work.dispatch import DispatchWork
from vidintel.application.work.garbage import CollectGarbage, PurgeUnfinished
from vidintel.application.work.handler import WorkHandlers
from vidintel.application.work.lease import WorkerIdentity
from vidintel.application.work.reclaim import ReclaimWork
from vidintel.application.work.runner import Claimed, LeaseRules, LeaseRunner
from vidintel.application.work.setbacks import RecordSetback
from vidintel.domain.analysis import AnalysisJob
from vidintel.domain.detection import BoundingBox, FrameDetections
from vidintel.domain.errors import DomainError, UnknownModel
from vidintel.domain.identity import Principal, Role, TenantId, UserId
from vidintel.domain.retention import RetentionRules
from vidintel.domain.segment import Segment
from vidintel.domain.video import Video
from vidintel.domain.work import RetryPolicy, Work, WorkItemId
from vidintel.infrastructure.tracking.tracker import MotionTracker

T = TypeVar("T")

BYTES = b"\x00\x00\x00\x18ftypmp42" + bytes(600)
POLICY = RetryPolicy(max_attempts=3, base_s=1.0, cap_s=60.0)
LEASE_S = 15.0


def principal(role: Role = Role.ADMIN, tenant: str = "org_acme") -> Principal:
    return Principal(UserId("user_alice"), TenantId(tenant), role)


class Registry:
    """Knows one model."""

    default_name = MODEL.name

    def list(self) -> Sequence[ModelInfo]:
        return [MODEL]

    def get(self, name: str) -> ModelInfo:
        if name != MODEL.name:
            raise UnknownModel(name, (MODEL.name,))
        return MODEL


class CornerHistogram:
    """Counts the top left pixel only: below 128 or not."""

    def counts(self, image: Image) -> tuple[int, ...]:
        return (0, 1) if image[0, 0, 0] >= 128 else (1, 0)


class CornerDifferencer:
    """Pictures are similar when their top left pixels are the same."""

    def thumbnail(self, image: Image) -> Image:
        return image[:1, :1].copy()

    def is_similar(self, before: Image, after: Image) -> bool:
        return bool((before == after).all())


class CornerEncoder:
    """Embeds every object as the picture's top left pixel."""

    def encode(self, image: Image, boxes: Sequence[BoundingBox]) -> Sequence[bytes]:
        return [image[0, 0].tobytes() for _ in boxes]


class RecordingQueue:
    """Implements `TaskQueue`: what was ``enqueued``, and how many messages are said to wait."""

    capacity = 2

    def __init__(self) -> None:
        self.enqueued: list[DueWork] = []
        self.waiting = 0

    async def backlog(self) -> int:
        return self.waiting

    async def enqueue(self, work: Sequence[DueWork]) -> None:
        self.enqueued += work


class Incoming:
    """A video on its way in; ``breaks_with`` is raised instead of its end."""

    def __init__(
        self,
        content: bytes = BYTES,
        details: VideoDetails | None = None,
        *,
        name: str = "clip.mp4",
        late: VideoDetails | None = None,
        breaks_with: BaseException | None = None,
    ) -> None:
        self.file_name = name
        self._content = content
        self._details = details or VideoDetails()
        self._late = late
        self._breaks_with = breaks_with

    def details(self) -> VideoDetails:
        return self._details

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), 100):
            yield self._content[start : start + 100]
        if self._late is not None:
            self._details = self._late
        if self._breaks_with is not None:
            raise self._breaks_with


@dataclass
class World:
    database: InMemoryDatabase = field(default_factory=InMemoryDatabase)
    storage: FakeObjectStorage = field(default_factory=FakeObjectStorage)
    clock: FakeClock = field(default_factory=FakeClock)
    media: Any = field(default_factory=ScriptedMedia)
    stages: StagesFactory = field(
        default_factory=lambda: FrameStages(CornerHistogram(), CornerDifferencer(), CornerEncoder())
    )
    task_queue: RecordingQueue = field(default_factory=RecordingQueue)
    worker: WorkerIdentity = field(default_factory=lambda: WorkerIdentity("worker-1"))
    rules: LeaseRules = field(
        default_factory=lambda: LeaseRules(timedelta(seconds=LEASE_S), heartbeat_s=0.01, stall_s=30)
    )

    segment_s: float = 2.0
    registry: Registry = field(default_factory=Registry)
    telemetry: Telemetry = SILENT
    snapshot_extractor: FakeSnapshotExtractor = field(default_factory=FakeSnapshotExtractor)
    retention: RetentionRules = field(default_factory=RetentionRules)

    def __post_init__(self) -> None:
        uow, clock = self.database.unit_of_work, self.clock
        specs = SpecResolver(self.registry, sample_fps=lambda: 5.0)
        self.accept_content = AcceptContent(uow, self.storage, clock, max_upload_bytes=lambda: 10_000)
        self.register = RegisterVideo(uow, self.accept_content, specs, clock, retention=lambda: self.retention)
        self.delete = DeleteVideo(uow, clock)
        self.request = RequestAnalysis(uow, specs, clock)
        self.cancel = CancelJob(uow, clock)
        self.retry = RetryJob(uow, clock)
        limits = MediaLimits(max_duration_s=3600, max_side_px=8192)
        self.handlers = WorkHandlers(
            [
                PlanJob(
                    uow,
                    self.storage,
                    self.media,
                    clock,
                    segment_s=self.segment_s,
                    limits=lambda: limits,
                    telemetry=self.telemetry,
                ),
                RunSegment(
                    uow,
                    FramePipeline(self.storage, self.media, self.media, self.stages, self.telemetry),
                    clock,
                    self.telemetry,
                ),
                self.finishing_with(MotionTracker),
            ]
        )
        self.setbacks = RecordSetback(uow, clock, self.handlers, POLICY, self.telemetry)
        self.runner = self.runner_of(self.worker)
        self.dispatch = DispatchWork(uow, self.task_queue, clock, kinds=self.handlers, redispatch=timedelta(seconds=10))
        self.reclaim = ReclaimWork(uow, clock, self.setbacks, self.telemetry)
        self.apply_retention = ApplyRetention(uow, clock, lambda: self.retention)
        self.collect_garbage = CollectGarbage(uow, self.storage, clock)
        self.purge_unfinished = PurgeUnfinished(self.storage)

    def runner_of(self, worker: WorkerIdentity, handlers: WorkHandlers | None = None) -> LeaseRunner:
        return LeaseRunner(
            self.database.unit_of_work,
            self.clock,
            handlers or self.handlers,
            worker,
            self.rules,
            self.setbacks,
            self.telemetry,
        )

    def finishing_with(self, new_tracker: Any) -> FinishJob:
        uow = self.database.unit_of_work
        pictures = TakeSnapshots(uow, self.storage, self.snapshot_extractor, self.clock, stall_s=self.rules.stall_s)
        return FinishJob(uow, new_tracker, pictures, self.clock, self.telemetry)

    async def registered(self) -> RegisteredVideo:
        return value_of(await self.register(principal(), Incoming()))

    async def planned(self) -> AnalysisJob:
        job = (await self.registered()).job.job
        value_of(await self.plan(job))
        return job

    async def plan(self, job: AnalysisJob) -> Result[object]:
        """Do the planning of the job."""
        return await self.do(self.item(PLAN, job.id))

    async def run(self, segment: Segment) -> Result[object]:
        """Do the analysis of the segment."""
        return await self.do(self.item(SEGMENT, segment.id))

    async def finish(self, job: AnalysisJob, new_tracker: Any = MotionTracker) -> Result[object]:
        """Do the finishing of the job."""
        handlers = WorkHandlers([self.finishing_with(new_tracker)])
        return await self.do(self.item(FINISH, job.id), runner=self.runner_of(self.worker, handlers))

    def item(self, kind: str, subject_id: UUID) -> WorkItemId:
        """The item of the kind about the subject, whether or not it is there."""
        return WorkItemId(uuid5(subject_id, kind))

    def items_of(self, kind: str) -> list[WorkItemId]:
        return sorted(item.id for item in self.database.work_items.values() if item.kind == kind)

    async def video(self, job: AnalysisJob) -> Video:
        async with self.database.unit_of_work() as uow:
            found = await uow.videos.get(job.tenant_id, job.video_id)
        assert found is not None
        return found

    async def job(self, job: AnalysisJob) -> AnalysisJob:
        async with self.database.unit_of_work() as uow:
            found = await uow.jobs.peek(job.id)
        assert found is not None
        return found

    async def segments(self) -> list[Segment]:
        """All there are, by index."""
        return sorted(self.database.segments.values(), key=lambda segment: segment.span.index)

    async def detections(self, job: AnalysisJob) -> list[FrameDetections]:
        async with self.database.unit_of_work() as uow:
            return await frames_of(uow, job)

    async def work_off(self, rounds: int = 20, *, until: str | None = None) -> None:
        """Dispatch and do what is due until nothing is left to do, or until there is work of the kind ``until``."""
        for _ in range(rounds):
            if (until is not None and self.items_of(until)) or not await self.dispatch():
                return
            while self.task_queue.enqueued:
                await self.do(self.task_queue.enqueued.pop(0).id)

    async def do(self, item_id: WorkItemId, *, runner: LeaseRunner | None = None) -> Result[object]:
        """Claim the item, alone if it is a suspect, and do it."""
        runner = runner or self.runner_of(self.worker)
        match await runner.claim(item_id, alone=True):
            case Ok(Claimed() as claimed):
                return await runner.perform(claimed)
            case other:
                return other

    async def die_with(self, item_id: WorkItemId, owner: str = "dead") -> None:
        """What a worker leaves behind that is killed while it does the item."""
        claimed = value_of(await self.runner_of(WorkerIdentity(owner)).claim(item_id, alone=True))
        assert isinstance(claimed, Claimed)

    def work_of(self, item_id: WorkItemId) -> Work:
        return self.database.work_items[item_id].work


def value_of(result: Result[T]) -> T:
    assert isinstance(result, Ok), result
    return result.value


def error_of(result: Result[object]) -> DomainError:
    assert isinstance(result, Err), result
    return result.error
