"""N worker processes through the real database, queue and dispatcher, with a detector that sleeps."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks import served
from benchmarks.bench import Bench
from benchmarks.report import Row, Timed
from tests.support.factories import make_job, make_video
from vidintel.application.jobs.work import add_stage
from vidintel.domain.analysis import AnalysisJob, JobStage, JobStatus
from vidintel.domain.video import Video
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.infrastructure.storage.local_disk import LocalDiskObjectStorage
from vidintel.settings.model import DatabaseSettings

WORKERS = (1, 2, 4)
_READY = b"worker.ready"
_PATIENCE_S = 300.0


class Fed(NamedTuple):
    """A job, and when it was about to be committed and had been, by the machine's monotonic clock in seconds."""

    job: AnalysisJob
    before_s: float
    after_s: float


class Feeder:
    """Commits jobs as the API does, and waits for them."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], folder: Path) -> None:
        self._sessions, self._folder = sessions, folder

    @classmethod
    @asynccontextmanager
    async def on(cls, url: str, folder: Path) -> AsyncIterator["Feeder"]:
        """``folder`` is the workers' data directory."""
        engine = create_engine(url, DatabaseSettings())
        try:
            yield cls(create_session_factory(engine), folder)
        finally:
            await engine.dispose()

    async def feed(self, segments: int) -> Fed:
        """A new job, which is planned as so many segments."""
        now = datetime.now(UTC)
        video = make_video(created_at=now)
        video.begin_processing(now)
        job = make_job(video=video, created_at=now)
        await self._store(video, json.dumps({"job": str(job.id), "segments": segments}).encode())
        async with SqlUnitOfWork(self._sessions) as uow:
            await uow.videos.add(video)
            await uow.jobs.add(job)
            await add_stage(uow, job, now)
            before_s = time.monotonic()
            await uow.commit()
        return Fed(job, before_s, time.monotonic())

    async def segments_done(self, fed: Fed) -> float:
        """Waits for its last segment; returns how long that took from its commit on, in seconds."""
        await asyncio.wait_for(self._reached(fed.job, JobStage.FINISH), _PATIENCE_S)
        return time.monotonic() - fed.after_s

    async def ended(self, fed: Fed) -> None:
        await asyncio.wait_for(self._reached(fed.job, JobStatus.SUCCEEDED), _PATIENCE_S)

    async def _store(self, video: Video, content: bytes) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        assert video.content is not None
        storage = LocalDiskObjectStorage(self._folder / "objects", min_free_bytes=0)
        await storage.put(video.content.key, chunks(), max_bytes=len(content))

    async def _reached(self, job: AnalysisJob, wanted: JobStage | JobStatus) -> None:
        found: AnalysisJob | None = job
        while found is not None and wanted not in {found.stage, found.status}:
            await asyncio.sleep(0.02)
            async with SqlUnitOfWork(self._sessions) as uow:
                found = await uow.jobs.peek(job.id)
            if found is None or found.status is JobStatus.FAILED:
                raise RuntimeError(f"the job ended: {found and found.failure}")


def scaling(bench: Bench) -> Iterator[Row]:
    """The time from a job's commit to the end of its last segment: with N workers against one, by segments a second."""
    segments, sleep_s = (16, 0.5) if bench.is_quick else (32, 1.0)
    found = {workers: _job_with(workers, segments, sleep_s) for workers in WORKERS}
    for workers in WORKERS[1:]:
        yield Row.of_rounds(
            f"workers-{workers}",
            f"{workers} workers against one, by worker",
            "segments/s",
            [(found[workers], found[1])],
            0.9,
            times=1 / workers,
            detail={"segments": segments, "sleep_s": sleep_s},
        )
    ideal = Timed(segments, segments * sleep_s)
    yield Row.of_rounds(
        "worker-overhead", "one worker against the sleep alone", "segments/s", [(found[1], ideal)], None
    )


def start_workers(
    numbers: Iterable[int], stack: ExitStack, folder: Path, url: str, environment: Mapping[str, str]
) -> None:
    """`sleeping_worker` processes that do one thing at a time, and are ready; ``folder`` is their data directory."""
    log = folder / "workers.log"
    given = {
        "VIDINTEL_DATABASE__URL": url,
        "VIDINTEL_DATA_DIR": str(folder),
        "VIDINTEL_WORK__CONCURRENCY": "1",
        **environment,
    }
    ready = log.read_bytes().count(_READY) if log.exists() else 0
    for number in numbers:
        stack.enter_context(
            served.process("benchmarks.sleeping_worker", f"worker-{number}", log=log, environment=given)
        )
        ready += 1
    while log.read_bytes().count(_READY) < ready:
        time.sleep(0.1)


def _job_with(workers: int, segments: int, sleep_s: float) -> Timed:
    with TemporaryDirectory() as folder, served.database() as url, ExitStack() as stack, asyncio.Runner() as runner:
        data = Path(folder)
        start_workers(range(workers), stack, data, url, {"BENCH_SLEEP_S": str(sleep_s)})
        return Timed(segments, runner.run(_run_job(url, data, segments)))


async def _run_job(url: str, folder: Path, segments: int) -> float:
    async with Feeder.on(url, folder) as feeder:
        return await feeder.segments_done(await feeder.feed(segments))
