"""What detected objects look like, measured while their pictures are at hand; the tracker tells them apart by it."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from vidintel.application.ports import AppearanceEncoder, Frame
from vidintel.domain.detection import FrameDetections


class Appearances:
    """Stands before and behind a detector, for one segment; keeps the frames that the detector has read ahead."""

    def __init__(self, gauge: AppearanceEncoder) -> None:
        self._gauge = gauge
        self._ahead: deque[Frame] = deque()

    def kept(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames."""
        for frame in frames:
            self._ahead.append(frame)
            yield frame

    def measured(self, analysed: Iterable[FrameDetections]) -> Iterator[FrameDetections]:
        """What was seen in the frames of `kept`, each detection with its appearance."""
        for seen in analysed:
            frame = self._ahead.popleft()
            while frame.index != seen.frame:
                frame = self._ahead.popleft()
            looks = self._gauge.appearances(frame.image, [one.box for one in seen.detections])
            described = zip(seen.detections, looks, strict=True)
            yield replace(seen, detections=tuple(replace(one, appearance=look) for one, look in described))
