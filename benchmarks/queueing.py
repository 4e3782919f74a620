"""Jobs and segments through the real database, queue and dispatcher, with a detector that does nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import served
from benchmarks.bench import Bench
from benchmarks.latency import percentile
from benchmarks.orchestration import WORKERS, Feeder, start_workers
from benchmarks.report import Row, Skipped, Timed
from benchmarks.sleeping_worker import beginnings

_ENGINES = {"in-process": "in process", "redis": "Redis"}


class _Found(NamedTuple):
    pickups_s: list[float]
    """From just before a job is committed to the first thing that is done after it was claimed."""
    rounds: list[Timed]
    """From the commit of a job to the end of its last segment."""


def passing_through(bench: Bench) -> Iterator[Row | Skipped]:
    """How soon idle workers begin, and how fast segments pass that take no time; each worker does one at a time."""
    segments, pickups = (40, 20) if bench.is_quick else (200, 100)
    found: dict[tuple[str, int], _Found] = {}
    with TemporaryDirectory(dir=bench.work) as folder, ExitStack() as stack, asyncio.Runner() as runner:
        url = stack.enter_context(served.database())
        redis = served.redis(Path(folder), stack)
        for engine in _ENGINES:
            if engine == "redis" and redis is None:
                continue
            environment = {"BENCH_SLEEP_S": "0"}
            if engine == "redis" and redis is not None:
                environment["VIDINTEL_REDIS__URL"] = redis.url
            data = Path(folder) / f"workers-{engine}"
            data.mkdir()
            with ExitStack() as running:
                for before, workers in pairwise((0, *WORKERS)):
                    start_workers(range(before, workers), running, data, url, environment)
                    found[engine, workers] = runner.run(_measure(url, data, segments, pickups, bench.rounds))
    for engine, name in _ENGINES.items():
        if (engine, 1) not in found:
            yield Skipped(f"queue-{engine}", "there is no redis-server")
            continue
        for workers in WORKERS:
            yield _rate(engine, name, workers, found, segments)
        for workers in WORKERS:
            yield _pickup(engine, name, workers, found[engine, workers])


def _rate(engine: str, name: str, workers: int, found: dict[tuple[str, int], _Found], segments: int) -> Row:
    """Against one worker on the same engine; that of Redis against the one in the process."""
    rounds = found[engine, workers].rounds
    peer = (engine, 1) if workers > 1 else ("in-process", 1)
    overhead_ms = workers * 1000 * median(each.wall_s / each.units for each in rounds)
    return Row.of_rounds(
        f"queue-{engine}-{workers}",
        f"{name}, {workers} worker(s): {overhead_ms:.1f} ms of a worker each; against one {_ENGINES[peer[0]]}",
        "segments/s",
        list(zip(rounds, found[peer].rounds, strict=True)),
        None,
        detail={"segments": segments, "overhead_ms": overhead_ms},
    )


def _pickup(engine: str, name: str, workers: int, found: _Found) -> Row:
    p50, p95 = (percentile(found.pickups_s, share) for share in (0.5, 0.95))
    ratio = p95 / p50
    what = f"{name}, {workers} idle worker(s): commit to pickup, p95 against p50"
    detail: dict[str, object] = {"pickups_s": found.pickups_s}
    return Row(f"pickup-{engine}-{workers}", what, "ms", p95, p50, ratio, ratio, ratio, None, detail=detail)


async def _measure(url: str, data: Path, segments: int, pickups: int, rounds: int) -> _Found:
    async with Feeder.on(url, data) as feeder:
        await feeder.ended(await feeder.feed(1))
        lone, timed = [], []
        for _ in range(pickups):
            lone.append(await feeder.feed(1))
            await feeder.ended(lone[-1])
        for _ in range(rounds):
            many = await feeder.feed(segments)
            timed.append(Timed(segments, await feeder.segments_done(many)))
            await feeder.ended(many)
    began = beginnings(data)
    return _Found([began[str(each.job.id)] - each.before_s for each in lone], timed)
