"""What 16-bit arithmetic (BF16) gains over FP32, and what it costs: the same network over the same frames."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import av

from benchmarks import clips, pipeline, speed
from benchmarks.bench import Bench
from benchmarks.report import Row
from benchmarks.rounds import in_turn, timed
from vidintel.application.ports import Frame
from vidintel.domain.detection import Detection, FrameDetections
from vidintel.infrastructure.inference.openvino import OpenVinoDetector

_SAME_OBJECT_IOU, _SAME_BOX_IOU, _SAME_CONFIDENCE = 0.5, 0.98, 0.01


def cost(bench: Bench) -> Iterator[Row]:
    """The shipped model on its own kind of scene, one it was not trained on; and real weights on a real clip."""
    yield from _compared("shipped", speed.MODEL, clips.SAMPLE, bench)
    if speed.INT8.is_dir():
        yield from _compared("int8", speed.INT8, clips.usual_clip(), bench)


def _compared(key: str, model: Path, clip: Path, bench: Bench) -> Iterator[Row]:
    frames = _frames(clip, 60 if bench.is_quick else 300)
    quick, exact = (pipeline.load(model, bench.work / "cache", precision) for precision in ("bf16", "f32"))
    found, expected = _seen(quick, frames), _seen(exact, frames)
    runs = in_turn(
        {
            "bf16": lambda: timed(partial(_count, quick, frames)),
            "f32": lambda: timed(partial(_count, exact, frames)),
        },
        bench.rounds,
    )
    what = f"{model.name} on {clip.name}"
    pairs = list(zip(runs["bf16"], runs["f32"], strict=True))
    yield Row.of_rounds(f"precision-{key}-speed", f"{what}: BF16 against FP32", "frames/s", pairs, None)
    for suffix, meaning, iou, gap in (
        ("objects", "objects that both see", _SAME_OBJECT_IOU, 1.0),
        ("boxes", f"boxes alike to IoU {_SAME_BOX_IOU}, ± {_SAME_CONFIDENCE}", _SAME_BOX_IOU, _SAME_CONFIDENCE),
    ):
        ours, theirs = matched(found, expected, iou, gap), matched(expected, found, iou, gap)
        share = min(ours / max(1, total(found)), theirs / max(1, total(expected)))
        yield Row(f"precision-{key}-{suffix}", f"{what}: {meaning}", "objects", total(found), total(expected),
                  share, share, share, None)  # fmt: skip


def _frames(clip: Path, count: int) -> list[Frame]:
    with av.open(str(clip)) as container:
        rate = float(container.streams.video[0].average_rate or 25)
    return [Frame(index, index / rate, image) for index, image in enumerate(pipeline.first_pictures(clip, count))]


def _seen(detector: OpenVinoDetector, frames: Sequence[Frame]) -> list[FrameDetections]:
    return list(detector.detect(frames, min_confidence=pipeline.MIN_CONFIDENCE, iou_threshold=pipeline.IOU))


def _count(detector: OpenVinoDetector, frames: Sequence[Frame]) -> int:
    return len(_seen(detector, frames))


def total(seen: Sequence[FrameDetections]) -> int:
    return sum(len(frame.detections) for frame in seen)


def matched(ours: Sequence[FrameDetections], others: Sequence[FrameDetections], iou: float, gap: float) -> int:
    """How many of ``ours`` have one like them among ``others``."""

    def is_like(mine: Detection, other: Detection) -> bool:
        is_alike = mine.box.iou(other.box) >= iou and abs(mine.confidence - other.confidence) <= gap
        return mine.label == other.label and is_alike

    return sum(
        any(is_like(mine, other) for other in theirs.detections)
        for mine_all, theirs in zip(ours, others, strict=True)
        for mine in mine_all.detections
    )
