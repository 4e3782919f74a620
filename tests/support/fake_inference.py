"""A decoder of made-up videos and a detector of made-up objects, for tests of use cases: quick, and exactly known."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from typing import BinaryIO

import numpy as np

from vidintel.application.ports import Detector, Frame, MediaLimits, MediaPlan, ModelInfo
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.errors import (
    DurationExceeded,
    NoFrames,
    NotAVideo,
    ResolutionUnsupported,
    UnknownLabel,
    UnknownModel,
)
from vidintel.domain.segment import SegmentSpan
from vidintel.domain.video import MediaInfo, MediaWarning

_TICKS = 90_000
FAKE_MODEL = ModelInfo(
    name="fake",
    version="1",
    runtime="fake",
    labels=("car", "truck", "person"),
    input_size=(64, 64),
    licence="Apache-2.0",
    sha256="f" * 64,
    description="Sees a car in every frame, and a truck in every other one",
)


def fake_clip(times: Sequence[float], keyframe_every: int = 10, side: int = 64) -> bytes:
    """The content of a video that `FakeVideoDecoder` reads: frames at ``times`` (seconds)."""
    return json.dumps({"times": list(times), "keyframe_every": keyframe_every, "side": side}).encode()


class FakeVideoDecoder:
    """Implements `VideoDecoder` for what `fake_clip` makes. Chooses frames by looking for the nearest, the slow way."""

    def plan(
        self,
        content: BinaryIO,
        *,
        segment_s: float,
        sample_fps: float | None,
        limits: MediaLimits,
        heartbeat: Callable[[], None] | None = None,
    ) -> MediaPlan:
        if heartbeat is not None:
            heartbeat()
        times, keyframe_every, side = _parse(content)
        if not limits.min_side_px <= side <= limits.max_side_px:
            raise ResolutionUnsupported(f"{side} pixels")
        if not times:
            raise NoFrames
        duration_s = times[-1] + 0.04
        if duration_s > limits.max_duration_s:
            raise DurationExceeded(f"{duration_s} s")
        starts = [0]
        for index in range(keyframe_every, len(times), keyframe_every):
            if times[index] - times[starts[-1]] >= segment_s:
                starts.append(index)
        chosen = _chosen(times, sample_fps)
        ends = [*starts[1:], len(times)]
        spans = tuple(
            SegmentSpan(
                index=place,
                start_s=times[first] if place else 0.0,
                end_s=times[end] if end < len(times) else None,
                first_frame=first,
                frame_count=end - first,
                sample_count=sum(first <= each < end for each in chosen),
            )
            for place, (first, end) in enumerate(zip(starts, ends, strict=True))
        )
        media = MediaInfo("fake", "fake", side, side, 0, duration_s, len(times) / duration_s, len(times))
        return MediaPlan(media, spans)

    def frames(
        self,
        content: BinaryIO,
        span: SegmentSpan,
        *,
        sample_fps: float | None,
        warn: Callable[[MediaWarning], None] | None = None,
        heartbeat: Callable[[], None] | None = None,
    ) -> Iterator[Frame]:
        times, _, side = _parse(content)
        for index in sorted(_chosen(times, sample_fps)):
            if heartbeat is not None:
                heartbeat()
            if span.first_frame <= index < span.first_frame + span.frame_count:
                yield Frame(index, times[index], np.full((side, side, 3), index % 256, dtype=np.uint8))


class FakeDetector:
    """Implements `Detector`. Sees what ``scene`` says is in a frame: `objects_at` its index, unless told otherwise."""

    def __init__(
        self,
        info: ModelInfo = FAKE_MODEL,
        scene: Callable[[Frame], Iterable[Detection]] = lambda frame: objects_at(frame.index),
    ) -> None:
        self._info = info
        self._scene = scene

    @property
    def info(self) -> ModelInfo:
        return self._info

    def detect(
        self,
        frames: Iterable[Frame],
        *,
        min_confidence: float,
        iou_threshold: float,
        labels: tuple[str, ...] | None = None,
    ) -> Iterator[FrameDetections]:
        for label in labels or ():
            if label not in self._info.labels:
                raise UnknownLabel(label, self._info.name, self._info.labels)
        for frame in frames:
            kept = (
                each
                for each in self._scene(frame)
                if each.confidence > min_confidence and (labels is None or each.label in labels)
            )
            yield FrameDetections(frame.index, frame.time_s, tuple(kept))


class FakeDetectors:
    """Implements `Detectors` over a fixed set."""

    def __init__(self, detectors: Mapping[str, Detector] | None = None) -> None:
        self._detectors = dict(detectors or {FAKE_MODEL.name: FakeDetector()})

    def get(self, name: str) -> Detector:
        if name not in self._detectors:
            raise UnknownModel(name, tuple(self._detectors))
        return self._detectors[name]


class FakeModelRegistry:
    """Implements `ModelRegistry` over a fixed set; the first is the default."""

    def __init__(self, *models: ModelInfo) -> None:
        self._models = {info.name: info for info in models or (FAKE_MODEL,)}

    @property
    def default_name(self) -> str:
        return next(iter(self._models))

    def list(self) -> Sequence[ModelInfo]:
        return tuple(self._models.values())

    def get(self, name: str) -> ModelInfo:
        if name not in self._models:
            raise UnknownModel(name, tuple(self._models))
        return self._models[name]


def objects_at(frame: int) -> tuple[Detection, ...]:
    """A car that moves to the right with the frames, and a truck in every other frame."""
    left = frame % 80 / 100
    car = Detection("car", 0.9, BoundingBox(left, 0.4, left + 0.2, 0.6))
    truck = Detection("truck", 0.3 + frame % 3 / 10, BoundingBox(0.1, 0.1, 0.3, 0.3))
    return (car,) if frame % 2 else (car, truck)


def _parse(content: BinaryIO) -> tuple[list[float], int, int]:
    content.seek(0)
    try:
        clip = json.loads(content.read())
    except ValueError:
        raise NotAVideo from None
    return clip["times"], clip["keyframe_every"], clip["side"]


def _chosen(times: Sequence[float], sample_fps: float | None) -> set[int]:
    if sample_fps is None:
        return set(range(len(times)))
    rate, exact = Fraction(str(sample_fps)), [Fraction(round(time_s * _TICKS), _TICKS) for time_s in times]
    points = (k / rate for k in range(int(exact[-1] * rate) + 1)) if times else iter(())
    nearest = (min(range(len(exact)), key=lambda index: (abs(exact[index] - point), index)) for point in points)
    return {index for index, _ in groupby(nearest)}
