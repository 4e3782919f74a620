"""A decoder and a detector in one, on a made-up video, that do what a test tells them to."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tests.support.fake_inference import FakeDetector, FakeVideoDecoder, fake_clip
from vidintel.application.ports import Frame, MediaLimits, MediaPlan, ModelInfo
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.segment import SegmentSpan
from vidintel.domain.video import MediaWarning

MODEL = ModelInfo("traffic", "1", "openvino", ("car", "person"), (320, 320), "AGPL-3.0", "a" * 64, "")
CLIP = fake_clip([index / 25 for index in range(100)], keyframe_every=50)
"""Four seconds with 25 frames a second, in two halves of which each begins with a keyframe."""
BOX = BoundingBox(0.1, 0.1, 0.2, 0.2)


def blinking_car(time_s: float) -> Iterable[Detection]:
    """A car that is there in every other fifth of a second, beginning with the first."""
    return (Detection("car", 0.9, BOX),) if round(5 * time_s) % 2 == 0 else ()


@dataclass
class ScriptedMedia:
    """Implements `VideoDecoder`, `Detectors` and `Detector`.

    Reads ``clip`` whatever the content is, or the content when that is ``None``. ``scene`` says what there is to be
    seen at a time (seconds). ``on_plan`` is called for each plan and ``on_frame`` with the index of each frame that is
    to be analysed; both may raise or wait. ``warnings`` are those of the plan and of each segment.
    """

    scene: Callable[[float], Iterable[Detection]] = blinking_car
    clip: bytes | None = CLIP
    on_plan: Callable[[], None] = lambda: None
    on_frame: Callable[[int], None] = lambda _: None
    model: ModelInfo = MODEL
    warnings: tuple[MediaWarning, ...] = ()
    plans: int = 0

    def plan(
        self,
        content: BinaryIO,
        *,
        segment_s: float,
        sample_fps: float | None,
        limits: MediaLimits,
        heartbeat: Callable[[], None] | None = None,
    ) -> MediaPlan:
        self.plans += 1
        plan = FakeVideoDecoder().plan(
            self._read(content), segment_s=segment_s, sample_fps=sample_fps, limits=limits, heartbeat=heartbeat
        )
        self.on_plan()
        return MediaPlan(plan.media, plan.segments, self.warnings)

    def frames(
        self,
        content: BinaryIO,
        span: SegmentSpan,
        *,
        sample_fps: float | None,
        warn: Callable[[MediaWarning], None] | None = None,
        heartbeat: Callable[[], None] | None = None,
    ) -> Iterator[Frame]:
        for warning in self.warnings:
            if warn is not None:
                warn(warning)
        yield from FakeVideoDecoder().frames(self._read(content), span, sample_fps=sample_fps, heartbeat=heartbeat)

    def get(self, name: str) -> "ScriptedMedia":
        return self

    @property
    def info(self) -> ModelInfo:
        return self.model

    def detect(
        self,
        frames: Iterable[Frame],
        *,
        min_confidence: float,
        iou_threshold: float,
        labels: tuple[str, ...] | None = None,
    ) -> Iterator[FrameDetections]:
        detector = FakeDetector(self.model, lambda frame: self.scene(frame.time_s))
        return detector.detect(
            self._announced(frames), min_confidence=min_confidence, iou_threshold=iou_threshold, labels=labels
        )

    def _read(self, content: BinaryIO) -> BinaryIO:
        return content if self.clip is None else io.BytesIO(self.clip)

    def _announced(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self.on_frame(frame.index)
            yield frame
