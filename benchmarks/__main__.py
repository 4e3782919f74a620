"""``python -m benchmarks [name …] [--quick]``: run the benchmarks, show their tables, write them as JSON.

It ends with 0 whatever they find: figures of a shared machine are to be read, not to stop a build.
"""

import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from benchmarks import (
    acceptance,
    appending,
    database,
    http,
    memory,
    orchestration,
    precision,
    queueing,
    reuse,
    speed,
    telemetry,
)
from benchmarks.bench import Bench
from benchmarks.report import Row, Skipped, reasons, show, write

RESULTS = Path(__file__).parent / "results"
_WIDTH_MIN = 150
WORK = Path(__file__).parent / ".cache"

BENCHMARKS: dict[str, tuple[str, Callable[[Bench], Iterator[Row | Skipped]]]] = {
    "whole": ("The whole system against Ultralytics' predict", speed.whole_system),
    "parts": ("The whole system against its parts alone", speed.parts),
    "precision": ("16-bit arithmetic against 32-bit", precision.cost),
    "reuse": ("Reusing the detections of similar frames", reuse.similar_frames),
    "memory": ("A worker's memory over a long video", memory.long_video),
    "orchestration": ("Workers with a detector that sleeps", orchestration.scaling),
    "queue": ("Jobs and segments that take no time", queueing.passing_through),
    "copy": ("Detections into the table", database.copying),
    "accept": ("Many small uploads at once", acceptance.accepting),
    "upload": ("Uploads", http.uploading),
    "append": ("Objects written in several calls", appending.appending),
    "metrics": ("Counting a request", telemetry.middleware),
    "read": ("Reading one video", http.reading),
}


def main() -> None:
    parser = ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="all when left out")
    parser.add_argument("--quick", action="store_true", help="shorter videos, smaller uploads, fewer rounds")
    parser.add_argument("--rounds", type=int, help="5, or 3 when quick")
    asked = parser.parse_args()
    bench = Bench(WORK, RESULTS, asked.rounds or (3 if asked.quick else 5), asked.quick)
    console, why = Console(width=max(_WIDTH_MIN, Console().width)), reasons()
    for folder in (WORK, RESULTS):
        folder.mkdir(parents=True, exist_ok=True)
    for name in asked.names or BENCHMARKS:
        title, run = BENCHMARKS[name]
        before = os.getloadavg()[0]
        rows = list(run(bench))
        show(rows, title, console, why)
        path = write(rows, name, RESULTS, (before, os.getloadavg()[0]))
        console.print(f"Written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}\n")


if __name__ == "__main__":
    main()
