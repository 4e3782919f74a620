"""The frame pipeline: decodes one segment and runs its frames through frame stages and the detector.

It does not depend on any particular stage; `vidintel.application.pipeline.frame_stages` holds those of an analysis.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vidintel.application.pipeline.plan import content_of
from vidintel.application.ports import SILENT, Detectors, Frame, ObjectStorage, Telemetry, VideoDecoder
from vidintel.domain.analysis import AnalysisJob, AnalysisSpec
from vidintel.domain.detection import FrameDetections
from vidintel.domain.errors import BusinessRuleViolation
from vidintel.domain.segment import Segment
from vidintel.domain.shots import ShotChanges
from vidintel.domain.tracking import LOW_THRESHOLD
from vidintel.domain.video import MediaWarning, Video


@dataclass(frozen=True, slots=True)
class SegmentFindings:
    """The findings of one segment.

    ``frames`` are the frames with detections, in presentation order. ``shots`` is ``None`` when no frame was analysed.
    ``frames_reused`` counts the frames that got the detections of a similar one.
    """

    frames: Sequence[FrameDetections] = ()
    warnings: Sequence[MediaWarning] = ()
    shots: ShotChanges | None = None
    frames_reused: int = 0


class FrameStage(Protocol):
    """A step around the detector: it sees the frames of one segment before detection, and the detections afterwards.

    To write one, subclass this protocol and override what the step needs: by default everything passes unchanged.
    A stage belongs to one segment and runs in one thread. It must pass on frames and detections one by one and in
    presentation order. It may keep a bounded number of frames: those that the detector has read ahead.
    """

    def before_detection(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames that go on to the next stage, or to the detector after the last one."""
        return frames

    def after_detection(self, detected: Iterator[FrameDetections]) -> Iterator[FrameDetections]:
        """The detections that go on to the previous stage, or to the result after the first one."""
        return detected

    def add_findings(self, findings: SegmentFindings) -> SegmentFindings:
        """``findings`` with what the stage found out about the whole segment. Called once, after the last frame."""
        return findings


StagesFactory = Callable[[AnalysisSpec], Sequence[FrameStage]]
"""Makes the stages of one segment. Frames pass them in this order, detections in reverse order."""


def detect_through(
    stages: Sequence[FrameStage],
    frames: Iterator[Frame],
    detect: Callable[[Iterator[Frame]], Iterator[FrameDetections]],
) -> Iterator[FrameDetections]:
    """The detections that ``detect`` finds in ``frames``, with ``stages`` around it. Lazy, like all of its parts."""
    for stage in stages:
        frames = stage.before_detection(frames)
    detected = detect(frames)
    for stage in reversed(stages):
        detected = stage.after_detection(detected)
    return detected


class FramePipeline:
    """Turns one segment of a video into its findings. Blocking: call it in a worker's thread."""

    def __init__(
        self,
        storage: ObjectStorage,
        decoder: VideoDecoder,
        detectors: Detectors,
        stages: StagesFactory,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._storage = storage
        self._decoder = decoder
        self._detectors = detectors
        self._stages = stages
        self._telemetry = telemetry

    def __call__(
        self,
        video: Video,
        job: AnalysisJob,
        segment: Segment,
        *,
        heartbeat: Callable[[], None],
        frame_done: Callable[[], None],
    ) -> SegmentFindings:
        """Decode ``segment`` and detect in it as ``job`` specifies.

        ``heartbeat`` is called often, also while no frame is finished; an exception from it ends the work.
        ``frame_done`` is called for each frame. Raises `BusinessRuleViolation` when the model was replaced since the
        job was queued, and whatever the decoder, the storage and the detector raise.
        """
        detector = self._detectors.get(job.model.name)
        if detector.info.ref != job.model:
            raise BusinessRuleViolation(
                f"Model '{job.model.name}' was replaced since this job was queued. Start a new job."
            )
        spec = job.spec
        stages = self._stages(spec)
        found: list[FrameDetections] = []
        warnings: list[MediaWarning] = []

        def detect(frames: Iterator[Frame]) -> Iterator[FrameDetections]:
            return detector.detect(
                frames,
                # The tracker also needs detections of low confidence; answers leave them out.
                min_confidence=min(LOW_THRESHOLD, spec.min_confidence),
                iou_threshold=spec.iou_threshold,
                labels=spec.labels,
            )

        with self._storage.open(content_of(video).key) as stream:
            decoded = self._decoder.frames(
                stream, segment.span, sample_fps=spec.sample_fps, warn=warnings.append, heartbeat=heartbeat
            )
            for frame in detect_through(stages, decoded, detect):
                heartbeat()
                frame_done()
                self._telemetry.frame_analysed()
                if frame.detections:
                    found.append(frame)
        findings = SegmentFindings(found, warnings)
        for stage in stages:
            findings = stage.add_findings(findings)
        return findings
