"""Frames that look like the last analysed one get its detections instead of being analysed (``reuse_similar``)."""

from collections import deque
from collections.abc import Iterable, Iterator

from vidintel.application.ports import Frame, FrameDifferencer, Image
from vidintel.domain.detection import FrameDetections


class SimilarFrames:
    """Stands before and behind a detector, for one segment.

    A frame is compared with the last analysed one of its group, never with a reused one, so that slow changes add up
    to a difference. Keeps one sketch, and for each frame left out since a detector's read-ahead its place in time.
    """

    def __init__(self, gauge: FrameDifferencer) -> None:
        self._gauge = gauge
        self._group: int | None = None
        self._analysed: Image | None = None
        self._left_out: deque[tuple[int, float]] = deque()
        self.reused = 0

    def distinct(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames that have to be analysed."""
        for frame in frames:
            sketch = self._gauge.sketch(frame.image)
            is_comparable = self._analysed is not None and frame.group == self._group
            if is_comparable and self._analysed is not None and self._gauge.is_alike(self._analysed, sketch):
                self._left_out.append((frame.index, frame.time_s))
                continue
            self._group, self._analysed = frame.group, sketch
            yield frame

    def restored(self, analysed: Iterable[FrameDetections]) -> Iterator[FrameDetections]:
        """All frames again, in order: what was seen in those of `distinct`, and in those left out after each."""
        last: FrameDetections | None = None
        for frame in analysed:
            if last is not None:
                yield from self._alike(last, frame.frame)
            yield frame
            last = frame
        if last is not None:
            yield from self._alike(last, None)

    def _alike(self, last: FrameDetections, before: int | None) -> Iterator[FrameDetections]:
        while self._left_out and (before is None or self._left_out[0][0] < before):
            index, time_s = self._left_out.popleft()
            self.reused += 1
            yield FrameDetections(index, time_s, last.detections, reused=True)
