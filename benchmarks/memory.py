"""A process that analyses a long video as a worker does: what it holds of the machine's memory, second by second."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import clips, pipeline, speed
from benchmarks.bench import Bench
from benchmarks.report import Row

_LIMIT_MB, _GROWTH = 700, 1.05
_PAGE_MB = 4096 / 1e6


def long_video(bench: Bench) -> Iterator[Row]:
    """Two hours of 1080p, or ten minutes when quick, at the usual 5 frames a second and YOLOv8's usual size of 640."""
    seconds = 600 if bench.is_quick else 7200
    hd = clips.full_hd(clips.usual_clip(), bench.work, frames=375)
    clip = clips.repeated(hd, bench.work, seconds=seconds)
    model = pipeline.model_of_size(speed.MODEL, bench.work, speed.SIZE)
    start, samples = time.perf_counter(), list[tuple[float, float]]()
    with subprocess.Popen([sys.executable, "-m", "benchmarks.memory", clip, model, bench.work / "cache"]) as running:
        while running.poll() is None:
            held = _resident_mb(running.pid)
            if held:
                samples.append((time.perf_counter() - start, held))
            time.sleep(0.5)
    if running.returncode:
        raise RuntimeError(f"the worker ended with {running.returncode}")
    settled_s = min(60.0, samples[-1][0] / 5)
    settled = max(held for at_s, held in samples if at_s <= settled_s)
    later = max(held for at_s, held in samples if at_s > settled_s)
    detail = {"video_s": seconds, "ran_s": samples[-1][0], "samples_s_mb": samples[:: max(1, len(samples) // 200)]}
    peak = max(held for _, held in samples)
    yield Row.of_limit("memory", "resident at most", "MB", peak, _LIMIT_MB, 1.0, detail)
    what = f"later than {settled_s:.0f} s against before"
    yield Row.of_limit("memory-growth", what, "MB", later, settled, _GROWTH)


def _resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MB
    except (OSError, IndexError):
        return 0.0


if __name__ == "__main__":
    pipeline.analyse_and_forget(Path(sys.argv[1]), pipeline.load(Path(sys.argv[2]), Path(sys.argv[3])), 5.0)
