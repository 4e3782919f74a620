"""Objects that are written in several calls against those that are written in one, on the local disk."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import served
from benchmarks.bench import Bench
from benchmarks.report import Row, Timed
from benchmarks.rounds import in_turn, timed
from vidintel.infrastructure.storage.local_disk import LocalDiskObjectStorage

_KEY = "videos/bench/source"
_CHUNK = os.urandom(65_536)
_PATCH_BYTES = 64 * 1024**2
_GROWTH_MB = 8


def appending(bench: Bench) -> Iterator[Row]:
    """1 GB (200 MB when quick) with SHA-256 and fsync: one append with its checkpoints, and appends of 64 MiB each.

    The peer is `put`. Memory is that of a process that appends all, against one that appends 64 KiB.
    """
    size = 200_000_000 if bench.is_quick else 1_000_000_000
    with TemporaryDirectory(dir=bench.work) as folder, asyncio.Runner() as runner:
        storage = LocalDiskObjectStorage(Path(folder), min_free_bytes=0)

        def run(write: Callable[[], Coroutine[Any, Any, None]]) -> Timed:
            def work() -> float:
                runner.run(write())
                return size / 1e6

            took = timed(work)
            runner.run(storage.delete(_KEY))
            os.sync()
            return took

        contestants = {
            "put": partial(_put, storage, size),
            "append": partial(_append, storage, size, size),
            "append-patches": partial(_append, storage, size, _PATCH_BYTES),
        }
        run(contestants["put"])
        found = in_turn({name: partial(run, write) for name, write in contestants.items()}, bench.rounds)
        before_mb, after_mb = (_peak_mb(Path(folder), each) for each in (len(_CHUNK), size))
    for key, what in (("append", "in one append"), ("append-patches", "in appends of 64 MiB")):
        pairs = list(zip(found[key], found["put"], strict=True))
        yield Row.of_rounds(
            key, f"{size / 1e6:,.0f} MB {what}, against one put, on the local disk", "MB/s", pairs, 0.85
        )
    what = f"a process grows by appending {size / 1e6:,.0f} MB, of {_GROWTH_MB} MB"
    measured = {"before": before_mb, "after": after_mb}
    yield Row.of_limit("append-memory", what, "MB", after_mb - before_mb, _GROWTH_MB, 1.0, measured)


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, len(_CHUNK)):
        yield _CHUNK[: size - start]


async def _put(storage: LocalDiskObjectStorage, size: int) -> None:
    await storage.put(_KEY, _chunks(size), max_bytes=size)


async def _append(storage: LocalDiskObjectStorage, size: int, each: int) -> None:
    upload, offset = await storage.begin_upload(_KEY), 0
    while offset < size:
        offset = await storage.append(upload, offset, _chunks(min(each, size - offset)), max_bytes=size)
    await storage.finish_upload(upload)


def _peak_mb(folder: Path, size: int) -> float:
    """The most that a process of its own ever held, in MB."""
    arguments = [sys.executable, "-m", "benchmarks.appending", str(folder), str(size)]
    answer = subprocess.run(arguments, check=True, capture_output=True, timeout=600, text=True)
    return float(answer.stdout)


def _main(folder: str, size: str) -> None:
    storage = LocalDiskObjectStorage(Path(folder), min_free_bytes=0)
    asyncio.run(_append(storage, int(size), _PATCH_BYTES))
    print(served.peak_mb(os.getpid()))


if __name__ == "__main__":
    _main(*sys.argv[1:])
