"""The frame stages of an analysis. To add one, write its class and add it to `FrameStages`."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vidintel.application.pipeline.frames import FrameStage, SegmentFindings
from vidintel.application.ports import AppearanceEncoder, ColourHistogram, Frame, FrameDifferencer, Image
from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.detection import FrameDetections
from vidintel.domain.shots import FrameColours, ShotChangesFold


class FrameStages:
    """Makes the stages of one segment, as the spec of its job asks for. Implements `StagesFactory`."""

    def __init__(self, colours: ColourHistogram, differencer: FrameDifferencer, encoder: AppearanceEncoder) -> None:
        self._colours = colours
        self._differencer = differencer
        self._encoder = encoder

    def __call__(self, spec: AnalysisSpec) -> Sequence[FrameStage]:
        """The order matters: shot changes need all frames, and appearances only the frames that the detector gets."""
        stages: list[FrameStage] = [ShotChangeStage(self._colours)]
        if spec.reuse_similar:
            stages.append(SimilarFrameStage(self._differencer))
        stages.append(AppearanceStage(self._encoder))
        return stages


class ShotChangeStage(FrameStage):
    """Finds the shot changes of the segment in the colours of its frames."""

    def __init__(self, colours: ColourHistogram) -> None:
        self._colours = colours
        self._shots = ShotChangesFold()

    def before_detection(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self._shots.add(FrameColours(frame.time_s, self._colours.counts(frame.image)))
            yield frame

    def add_findings(self, findings: SegmentFindings) -> SegmentFindings:
        return replace(findings, shots=self._shots.result())


class SimilarFrameStage(FrameStage):
    """Leaves out frames similar to the last analysed one, and gives them its detections (``reuse_similar``).

    A frame is compared with the last analysed one of its group, never with a reused one. So slow changes add up until
    a frame differs. Keeps one thumbnail, and the index and time of each frame left out since the detector's answer.
    """

    def __init__(self, differencer: FrameDifferencer) -> None:
        self._differencer = differencer
        self._group: int | None = None
        self._analysed: Image | None = None
        self._left_out: deque[tuple[int, float]] = deque()
        self._reused = 0

    def before_detection(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            thumbnail = self._differencer.thumbnail(frame.image)
            before = self._analysed if frame.group == self._group else None
            if before is not None and self._differencer.is_similar(before, thumbnail):
                self._left_out.append((frame.index, frame.time_s))
                continue
            self._group, self._analysed = frame.group, thumbnail
            yield frame

    def after_detection(self, detected: Iterator[FrameDetections]) -> Iterator[FrameDetections]:
        last: FrameDetections | None = None
        for frame in detected:
            if last is not None:
                yield from self._similar_to(last, before=frame.frame)
            yield frame
            last = frame
        if last is not None:
            yield from self._similar_to(last, before=None)

    def add_findings(self, findings: SegmentFindings) -> SegmentFindings:
        return replace(findings, frames_reused=self._reused)

    def _similar_to(self, last: FrameDetections, before: int | None) -> Iterator[FrameDetections]:
        while self._left_out and (before is None or self._left_out[0][0] < before):
            index, time_s = self._left_out.popleft()
            self._reused += 1
            yield FrameDetections(index, time_s, last.detections, reused=True)


class AppearanceStage(FrameStage):
    """Gives each detection the appearance embedding of its object, by which the tracker tells objects apart."""

    def __init__(self, encoder: AppearanceEncoder) -> None:
        self._encoder = encoder
        self._in_flight = FramesInFlight()

    def before_detection(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        return self._in_flight.remembered(frames)

    def after_detection(self, detected: Iterator[FrameDetections]) -> Iterator[FrameDetections]:
        for frame, seen in self._in_flight.paired(detected):
            embeddings = self._encoder.encode(frame.image, [one.box for one in seen.detections])
            pairs = zip(seen.detections, embeddings, strict=True)
            yield replace(seen, detections=tuple(replace(one, appearance=each) for one, each in pairs))


class FramesInFlight:
    """The frames that a detector has read ahead, for a stage that needs a frame together with its detections."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()

    def remembered(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The same frames; each is kept until its detections come, or those of a later frame."""
        for frame in frames:
            self._frames.append(frame)
            yield frame

    def paired(self, detected: Iterator[FrameDetections]) -> Iterator[tuple[Frame, FrameDetections]]:
        """Each of the detections with its frame."""
        for seen in detected:
            frame = self._frames.popleft()
            while frame.index != seen.frame:
                frame = self._frames.popleft()
            yield frame, seen
