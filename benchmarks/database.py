"""Detections written into the real table, with its indexes, in transactions as large as a segment."""

import asyncio
from collections.abc import Iterator, Sequence

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks import served
from benchmarks.bench import Bench
from benchmarks.report import Row, Timed
from benchmarks.rounds import in_turn, timed
from tests.support.factories import make_detection, make_job, make_segment, make_video
from vidintel.domain.analysis import JobStatus
from vidintel.domain.detection import FrameDetections
from vidintel.domain.segment import Segment
from vidintel.domain.video import VideoId
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.tables import detections
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.settings.model import DatabaseSettings

_FRAMES, _PER_FRAME, _RATE_WANTED = 1000, 5, 100_000
_LABELS = ("car", "truck", "person")


def copying(bench: Bench) -> Iterator[Row]:
    segments = 6 if bench.is_quick else 20
    frames = [
        FrameDetections(number, number / 25, tuple(make_detection(_LABELS[i % 3]) for i in range(_PER_FRAME)))
        for number in range(_FRAMES)
    ]
    with served.database() as url, asyncio.Runner() as runner:
        engine = create_engine(url, DatabaseSettings())
        sessions = create_session_factory(engine)

        def run(by_copy: bool) -> Timed:
            runner.run(_checkpoint(sessions))
            return timed(lambda: runner.run(_write(sessions, frames, segments, by_copy=by_copy)))

        try:
            run(by_copy=True)
            found = in_turn({True: lambda: run(True), False: lambda: run(False)}, bench.rounds)
        finally:
            runner.run(engine.dispose())
    pairs = list(zip(found[True], found[False], strict=True))
    about = {"rows": segments * _FRAMES * _PER_FRAME, "rows per transaction": _FRAMES * _PER_FRAME}
    yield Row.of_rounds("copy", "COPY against SQLAlchemy executemany", "rows/s", pairs, 4.0, detail=about)
    wanted = Timed(_RATE_WANTED, 1.0)
    yield Row.of_rounds("copy-rate", "COPY against 100,000 rows a second", "rows/s",
                        [(ours, wanted) for ours in found[True]], 1.0)  # fmt: skip


async def _checkpoint(sessions: async_sessionmaker[AsyncSession]) -> None:
    """As on a server that has run for long: its log goes over files that are there, and no run pays for another's."""
    async with sessions() as session:
        await session.execute(text("CHECKPOINT"))


async def _write(
    sessions: async_sessionmaker[AsyncSession], frames: Sequence[FrameDetections], segments: int, *, by_copy: bool
) -> int:
    video = make_video()
    job = make_job(video=video, status=JobStatus.RUNNING)
    rows = 0
    for index in range(segments):
        segment = make_segment(job=job, index=index)
        shifted = [FrameDetections(each.frame + index * _FRAMES, each.time_s, each.detections) for each in frames]
        if by_copy:
            async with SqlUnitOfWork(sessions) as uow:
                rows += await uow.detections.add_all(segment, video.id, shifted)
                await uow.commit()
        else:
            async with sessions() as session, session.begin():
                values = list(_values(segment, video.id, shifted))
                await session.execute(insert(detections), values)
                rows += len(values)
    return rows


def _values(segment: Segment, video_id: VideoId, frames: Sequence[FrameDetections]) -> Iterator[dict[str, object]]:
    for frame in frames:
        for position, seen in enumerate(frame.detections):
            yield {
                "job_id": segment.job_id,
                "segment_id": segment.id,
                "tenant_id": segment.tenant_id.value,
                "video_id": video_id,
                "frame": frame.frame,
                "time_s": frame.time_s,
                "position": position,
                "label": seen.label,
                "confidence": seen.confidence,
                "x1": seen.box.x1,
                "y1": seen.box.y1,
                "x2": seen.box.x2,
                "y2": seen.box.y2,
                "appearance": seen.appearance,
            }
