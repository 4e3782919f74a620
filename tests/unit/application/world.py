"""The use cases on in-memory adapters, with a scripted decoder and detector."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from tests.contracts.stored import frames_of
from tests.support.fakes import FakeClock, FakeObjectStorage, InMemoryDatabase
from tests.support.scripted_media import MODEL, ScriptedMedia
from tests.unit.application.camera import FakeCamera
from vidintel.application.jobs.requests import CancelJob, RequestAnalysis, RetryJob
from vidintel.application.jobs.specs import SpecResolver
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
from vidintel.application.work.garbage import CollectGarbage
from vidintel.application.work.lease import WorkerIdentity
from vidintel.application.work.reclaim import ReclaimWork
from vidintel.application.work.stages import WorkRules
from vidintel.domain.analysis import AnalysisJob, JobId, JobStage
from vidintel.domain.detection import BoundingBox, FrameDetections
from vidintel.domain.errors import DomainError, UnknownModel
from vidintel.domain.identity import Principal, Role, TenantId, UserId
from vidintel.domain.retention import RetentionRules
from vidintel.domain.segment import Segment, SegmentId
from vidintel.domain.video import Video
from vidintel.domain.work import RetryPolicy
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


class RecordingDoorbell:
    def __init__(self) -> None:
        self.rung: list[DueWork] = []
        self.waiting = 0

    async def backlog(self) -> int:
        return self.waiting

    async def enqueue(self, work: DueWork) -> None:
        self.rung.append(work)


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
    task_queue: RecordingDoorbell = field(default_factory=RecordingDoorbell)
    worker: WorkerIdentity = field(default_factory=lambda: WorkerIdentity("worker-1"))
    rules: WorkRules = field(
        default_factory=lambda: WorkRules(timedelta(seconds=LEASE_S), heartbeat_s=0.01, retry=POLICY, stall_s=30)
    )

    segment_s: float = 2.0
    registry: Registry = field(default_factory=Registry)
    telemetry: Telemetry = SILENT
    camera: FakeCamera = field(default_factory=FakeCamera)
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
        self.plan = PlanJob(
            uow,
            self.storage,
            self.media,
            clock,
            self.worker,
            self.rules,
            segment_s=self.segment_s,
            limits=lambda: limits,
            telemetry=self.telemetry,
        )
        self.run = RunSegment(
            uow,
            FramePipeline(self.storage, self.media, self.media, self.stages, self.telemetry),
            clock,
            self.worker,
            self.rules,
            self.telemetry,
        )
        self.finish = self.finishing_with(MotionTracker)
        self.dispatch = DispatchWork(uow, self.task_queue, clock, concurrency=2, redispatch=timedelta(seconds=10))
        self.reclaim = ReclaimWork(uow, clock, POLICY, self.telemetry)
        self.apply_retention = ApplyRetention(uow, clock, lambda: self.retention)
        self.collect_garbage = CollectGarbage(uow, self.storage, clock)

    def finishing_with(self, new_tracker: Any) -> FinishJob:
        uow = self.database.unit_of_work
        pictures = TakeSnapshots(uow, self.storage, self.camera, self.clock, stall_s=self.rules.stall_s)
        return FinishJob(uow, new_tracker, pictures, self.clock, self.worker, self.rules, self.telemetry)

    async def registered(self) -> RegisteredVideo:
        return value_of(await self.register(principal(), Incoming()))

    async def planned(self) -> AnalysisJob:
        job = (await self.registered()).job.job
        value_of(await self.plan(job.id))
        return job

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

    async def work_off(self, rounds: int = 20) -> None:
        """Dispatch and do what is due until nothing is left to do."""
        for _ in range(rounds):
            if not await self.dispatch():
                return
            while self.task_queue.rung:
                await self.do(self.task_queue.rung.pop(0))

    async def do(self, due: DueWork) -> Result[object]:
        match due.stage:
            case JobStage.PLAN:
                return await self.plan(JobId(due.id))
            case JobStage.ANALYSE:
                return await self.run(SegmentId(due.id))
            case JobStage.FINISH:
                return await self.finish(JobId(due.id))


def value_of(result: Result[T]) -> T:
    assert isinstance(result, Ok), result
    return result.value


def error_of(result: Result[object]) -> DomainError:
    assert isinstance(result, Err), result
    return result.error
