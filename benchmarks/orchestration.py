"""N worker processes through the real database, queue and dispatcher, with a detector that sleeps."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks import served
from benchmarks.bench import Bench
from benchmarks.report import Row, Timed
from tests.factories import make_job, make_video
from vidintel.domain.analysis import AnalysisJob, JobStage, JobStatus
from vidintel.domain.video import Video
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.infrastructure.storage.local_disk import LocalDiskObjectStorage
from vidintel.settings import DatabaseSettings

WORKERS = (1, 2, 4)
_READY = b"worker.ready"
_PATIENCE_S = 300.0


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


def _job_with(workers: int, segments: int, sleep_s: float) -> Timed:
    with TemporaryDirectory() as folder, served.database() as url, ExitStack() as stack, asyncio.Runner() as runner:
        log = Path(folder) / "workers.log"
        environment = {
            "VIDINTEL_DATABASE__URL": url,
            "VIDINTEL_DATA_DIR": folder,
            "VIDINTEL_WORK__CONCURRENCY": "1",
            "BENCH_SEGMENTS": str(segments),
            "BENCH_SLEEP_S": str(sleep_s),
        }
        for number in range(workers):
            stack.enter_context(
                served.process("benchmarks.sleeping_worker", f"worker-{number}", log=log, environment=environment)
            )
        while log.read_bytes().count(_READY) < workers:
            time.sleep(0.1)
        engine = create_engine(url, DatabaseSettings())
        sessions = create_session_factory(engine)
        try:
            wall_s = runner.run(_run_job(sessions, Path(folder)))
        finally:
            runner.run(engine.dispose())
    return Timed(segments, wall_s)


async def _run_job(sessions: async_sessionmaker[AsyncSession], folder: Path) -> float:
    now = datetime.now(UTC)
    video = make_video(created_at=now)
    video.begin_processing(now)
    job = make_job(video=video, created_at=now)
    await _store(video, folder)
    async with SqlUnitOfWork(sessions) as uow:
        await uow.videos.add(video)
        await uow.jobs.add(job)
        await uow.ring()
        await uow.commit()
    start = time.perf_counter()
    await asyncio.wait_for(_all_segments_done(job, sessions), _PATIENCE_S)
    return time.perf_counter() - start


async def _store(video: Video, folder: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"no decoder reads this"

    assert video.content is not None
    await LocalDiskObjectStorage(folder / "objects", min_free_bytes=0).put(video.content.key, chunks(), max_bytes=100)


async def _all_segments_done(job: AnalysisJob, sessions: async_sessionmaker[AsyncSession]) -> None:
    found: AnalysisJob | None = job
    while found is not None and found.stage is not JobStage.FINISH:
        await asyncio.sleep(0.02)
        async with SqlUnitOfWork(sessions) as uow:
            found = await uow.jobs.peek(job.id)
        if found is None or found.status is JobStatus.FAILED:
            raise RuntimeError(f"the job ended: {found and found.failure}")
