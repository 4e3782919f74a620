"""Models that detect objects, and trackers that assign detections to tracks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vidintel.application.ports.media import Frame
from vidintel.domain.analysis import ModelRef
from vidintel.domain.detection import FrameDetections
from vidintel.domain.tracking import TrackedFrame


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that can be run. ``input_size`` is (height, width) in pixels.

    ``iou_threshold`` (of the non-maximum suppression) and ``track_confidence`` (which at least one detection of each
    track must reach) are the model's defaults, 0..1, for clients that name none.
    """

    name: str
    version: str
    runtime: str
    labels: tuple[str, ...]
    input_size: tuple[int, int]
    licence: str
    sha256: str
    description: str
    iou_threshold: float = 0.7
    track_confidence: float = 0.6

    @property
    def ref(self) -> ModelRef:
        return ModelRef(self.name, self.version, self.sha256)


class Detector(Protocol):
    """A loaded model. Blocking; may be used from several threads at once."""

    @property
    def info(self) -> ModelInfo: ...

    def detect(
        self,
        frames: Iterable[Frame],
        *,
        min_confidence: float,
        iou_threshold: float,
        labels: tuple[str, ...] | None = None,
    ) -> Iterator[FrameDetections]:
        """One `FrameDetections` per frame, in order.

        Reads ahead a bounded number of frames, so that decoding and inference overlap. Confidences and non-maximum
        suppression are as Ultralytics defines them for YOLOv8.
        """
        ...


class ModelRegistry(Protocol):
    """The models that can be run. Blocking: it may have to read their files."""

    @property
    def default_name(self) -> str:
        """The model used when a client names none."""
        ...

    def list(self) -> Sequence[ModelInfo]: ...

    def get(self, name: str) -> ModelInfo:
        """Raises `UnknownModel`, or `ModelUnusable` when its files are missing or damaged."""
        ...


class Detectors(Protocol):
    def get(self, name: str) -> Detector:
        """The detector of a registered model, loaded once per process. Blocking. Raises what the registry raises."""
        ...


class Tracker(Protocol):
    """Assigns the detections of one video to tracks. One per video; not thread-safe."""

    @property
    def memory_s(self) -> float:
        """A track without detections for longer than this many seconds has ended."""
        ...

    def update(self, frame: FrameDetections) -> Sequence[TrackedFrame]:
        """Add the next frame in presentation order; returns the frames whose tracks are decided by now, in order.

        Frames without detections may be left out. Decisions lag behind by a bounded time. Track ids count from 1 in
        order of first appearance; a detection without a track, or a duplicate of another, has ``None``.
        """
        ...

    def finish(self) -> Sequence[TrackedFrame]:
        """The frames still undecided when the video has ended."""
        ...


class TrackerFactory(Protocol):
    def __call__(self, frame_interval_s: float, track_confidence: float) -> Tracker:
        """A tracker for one video, whose analysed frames usually lie ``frame_interval_s`` seconds apart.

        A track must hold a detection of ``track_confidence`` (0..1).
        """
        ...
