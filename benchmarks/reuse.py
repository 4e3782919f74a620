"""What `reuse_similar` gains, and what it loses: with and without it over the same clips."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks import clips, pipeline, speed
from benchmarks.bench import Bench
from benchmarks.precision import matched, total
from benchmarks.report import Row
from benchmarks.rounds import in_turn, timed
from vidintel.domain.detection import FrameDetections
from vidintel.infrastructure.inference.openvino import OpenVinoDetector

SAME_OBJECT_IOU = 0.5


def similar_frames(bench: Bench) -> Iterator[Row]:
    """A fixed camera and a moving one, at 5 sampled frames a second and with every frame."""
    model = speed.INT8 if speed.INT8.is_dir() else speed.MODEL
    detector = pipeline.load(model, bench.work / "cache")
    usual = clips.usual_clip()
    bottles = clips.REAL_CLIPS / "bottle-detection.mp4"
    fixed = [usual, bottles] if bottles.is_file() else [usual]
    moving = clips.panned(usual, bench.work, frames=375 if bench.is_quick else 750)
    for clip in [*fixed, moving]:
        for name, sample_fps in (("5", 5.0), ("native", None)):
            yield from _compared(f"reuse-{clip.stem}-{name}", clip, sample_fps, detector, bench)


def _compared(
    key: str, clip: Path, sample_fps: float | None, detector: OpenVinoDetector, bench: Bench
) -> Iterator[Row]:
    def run(reuse_similar: bool) -> list[FrameDetections]:
        return pipeline.analyse(clip, detector, sample_fps, reuse_similar=reuse_similar)

    reused, all_analysed = run(True), run(False)
    share = sum(frame.reused for frame in reused) / len(reused)
    runs = in_turn(
        {
            "reuse": lambda: timed(partial(_count, partial(run, True))),
            "all": lambda: timed(partial(_count, partial(run, False))),
        },
        bench.rounds,
    )
    what = f"{clip.name}, {'every frame' if sample_fps is None else '5 frames/s'}, {detector.info.name}"
    pairs = list(zip(runs["reuse"], runs["all"], strict=True))
    yield Row.of_rounds(f"{key}-speed", f"{what}: reusing {share:.0%}", "frames/s", pairs, None)
    yield _recall(f"{key}-recall", f"{what}: objects still found", reused, all_analysed)
    yield _recall(f"{key}-precision", f"{what}: objects rightly found", all_analysed, reused)


def _recall(key: str, what: str, ours: Sequence[FrameDetections], theirs: Sequence[FrameDetections]) -> Row:
    """The share of the objects in ``theirs`` that are in ``ours``."""
    found, wanted = matched(theirs, ours, SAME_OBJECT_IOU, 1.0), total(theirs)
    share = found / wanted if wanted else 1.0
    return Row(key, what, "objects", found, wanted, share, share, share, None)


def _count(run: partial[list[FrameDetections]]) -> int:
    return len(run())
