"""The container's own use cases on a real database and a real disk, driven one step after the other.

Only the model is scripted. A video is registered, planned, analysed in segments and finished; so is one that turns out
to be none. `run` does that in a process that may be stopped anywhere; `Restarted` is the next process.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from dependency_injector import providers

from tests.crashing.points import CrashingQueue, CrashingStorage, CrashingUnitOfWork, CrashPoints
from tests.support.fake_inference import FakeDetectors, FakeModelRegistry
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.ports import DueWork
from vidintel.application.result import Ok
from vidintel.application.videos.registration import RegisterVideo, VideoDetails
from vidintel.application.work.garbage import CollectGarbage, PurgeUnfinished
from vidintel.container import Container, create_container
from vidintel.domain.events import Event, EventType
from vidintel.domain.identity import Principal, Role, TenantId, UserId
from vidintel.presentation.worker import RunMessage, WorkerServices
from vidintel.settings.model import AnalysisSettings, Settings, WorkSettings

NOT_A_VIDEO = bytes(range(128, 256)) * 8
ALICE = Principal(UserId("user_alice"), TenantId("org_acme"), Role.ADMIN)
CLIP = "clip.mp4"
CRASHED = 77
_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps everything.

    The clip lies beside ``data_dir``; ``answers`` is what the client was told: a line for each accepted video.
    """

    database_url: str
    data_dir: Path

    @property
    def clip(self) -> bytes:
        return (self.data_dir.parent / CLIP).read_bytes()

    @property
    def answers(self) -> Path:
        return self.data_dir / "answers"

    @property
    def events(self) -> Path:
        return self.data_dir / "events"

    @property
    def objects_dir(self) -> Path:
        return self.data_dir / "objects"

    def accepted(self) -> set[UUID]:
        return set(map(UUID, self.answers.read_text().split())) if self.answers.exists() else set()

    def told(self) -> set[UUID]:
        """The ids of the events that the subscriber `Told` was told of, however often."""
        return set(map(UUID, self.events.read_text().split())) if self.events.exists() else set()


class Told:
    """A subscriber of every event: writes the id of each into a file."""

    name = "told"
    wants = frozenset(EventType)

    def __init__(self, place: Place, points: CrashPoints) -> None:
        self._place = place
        self._points = points

    async def handle(self, batch: Sequence[Event]) -> None:
        with self._points.around("handle"), self._place.events.open("a") as events:
            events.writelines(f"{event.id}\n" for event in batch)


class AheadClock:
    """Goes as the system's does, ``ahead`` of it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Incoming:
    """Implements `IncomingVideo`."""

    def __init__(self, content: bytes) -> None:
        self.file_name = "clip.mp4"
        self._content = content

    def details(self) -> VideoDetails:
        return VideoDetails(spec=SpecRequest(sample_fps=5.0))

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._content


class System:
    """One process: its container, and what it was asked to do."""

    def __init__(self, place: Place, points: CrashPoints, services: WorkerServices, register: RegisterVideo) -> None:
        self._place = place
        self._points = points
        self._services = services
        self._register = register
        # What a former process was at when it crashed is a suspect: this one runs nothing else.
        self._do_alone = RunMessage(services, alone=True)

    async def accept(self, name: str, content: bytes) -> None:
        self._points.step = f"register {name}"
        result = await self._register(ALICE, Incoming(content))
        assert isinstance(result, Ok), result
        with self._place.answers.open("a") as answers:
            answers.write(f"{result.value.video.id}\n")

    async def work_off(self, task_queue: CrashingQueue) -> bool:
        """Dispatch and do what is due until nothing is; whether there was anything."""
        for rounds in range(_ROUNDS):
            self._points.step = "dispatch"
            if not await self._services.dispatch():
                return rounds > 0
            while task_queue.enqueued:
                await self._do(task_queue.enqueued.pop(0))
        raise AssertionError("there is always something left to do")

    async def _do(self, due: DueWork) -> None:
        self._points.step = due.kind
        await self._do_alone(due.id)

    async def deliver(self) -> int:
        """Tell the subscriber of what has happened; the first call subscribes."""
        self._points.step = "deliver"
        return sum([await deliver() for deliver in self._services.deliver_events])

    async def reclaim(self) -> int:
        self._points.step = "reclaim"
        return await self._services.reclaim()


@asynccontextmanager
async def started(
    place: Place, points: CrashPoints, clock: AheadClock
) -> AsyncIterator[tuple[System, CrashingQueue, Container]]:
    """A process's worth of objects, wired by the container, with the points put around its providers."""
    settings = Settings(
        data_dir=place.data_dir,
        analysis=AnalysisSettings(segment_s=1.0),
        # No heartbeats: they would come at other points each time. One piece of work after the other.
        work=WorkSettings(concurrency=1, lease_s=300, heartbeat_s=100),
    )
    plain, container = (create_container(settings, place.database_url) for _ in range(2))
    task_queue = CrashingQueue(points)
    container.clock.override(providers.Object(clock))
    container.registry.override(providers.Singleton(FakeModelRegistry))
    container.detectors.override(providers.Singleton(FakeDetectors))
    container.uow.override(providers.Factory(CrashingUnitOfWork, plain.sessions, points))
    container.storage.override(providers.Singleton(CrashingStorage, plain.storage, points))
    container.task_engine.override(providers.Object(task_queue))
    container.event_subscribers.override(providers.List(providers.Object(Told(place, points))))
    try:
        yield System(place, points, container.worker_services(), container.register_video()), task_queue, container
    finally:
        await plain.engine().dispose()


async def run(place: Place, points: CrashPoints) -> None:
    """Everything from the first byte to the last commit."""
    async with started(place, points, AheadClock()) as (system, task_queue, container):
        await system.deliver()
        await system.accept("a video", place.clip)
        await system.work_off(task_queue)
        await system.accept("no video", NOT_A_VIDEO)
        await system.work_off(task_queue)
        await system.deliver()
        points.step = "sweep"
        await CollectGarbage(container.uow, container.storage(), container.clock())()


def run_and_crash(place: Place, crash_at: int) -> None:
    """In a process of its own: ends it at point ``crash_at``, without another word."""
    asyncio.run(run(place, CrashPoints(crash_at, lambda: os._exit(CRASHED))))


async def recover(place: Place) -> None:
    """The next process: leases have run out, uploads have expired, and it works until nothing is left to do."""
    points, clock = CrashPoints(None, lambda: None), AheadClock()
    async with started(place, points, clock) as (system, task_queue, container):
        for _ in range(_ROUNDS):
            clock.ahead += timedelta(hours=1)
            if not await system.reclaim() + await system.work_off(task_queue) + await system.deliver():
                break
        clock.ahead += timedelta(days=2)
        await CollectGarbage(container.uow, container.storage(), clock)()
        await PurgeUnfinished(container.storage(), after_s=-1.0)()
