"""What a video's detections amount to: counts with named semantics, as pure functions.

``detections``       how many boxes were reported
``frames``           in how many analysed frames the label was seen at least once
``peak_concurrent``  the largest number seen at once, in one frame
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from vidintel.domain.detection import FrameDetections


@dataclass(frozen=True, slots=True)
class Peak:
    """The most objects at once, and the first moment (seconds, frame index) at which there were so many."""

    count: int
    time_s: float
    frame: int


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """What was seen of one label. Times are seconds on the player's timeline."""

    detections: int
    frames: int
    peak_concurrent: Peak
    first_seen_s: float
    last_seen_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What was seen in the whole video. ``busiest`` is ``None`` when nothing was seen."""

    frames_analysed: int
    detections: int
    busiest: Peak | None
    labels: Mapping[str, LabelSummary]


class SummaryFold:
    """Folds frames, given in presentation order, into a `Summary`; memory grows with the labels only."""

    def __init__(self) -> None:
        self._detections = 0
        self._busiest: Peak | None = None
        self._labels: dict[str, LabelSummary] = {}

    def add(self, frame: FrameDetections) -> None:
        counts = Counter(detection.label for detection in frame.detections)
        total = len(frame.detections)
        self._detections += total
        if total:
            self._busiest = _higher(self._busiest, Peak(total, frame.time_s, frame.frame))
        for label, count in counts.items():
            peak = Peak(count, frame.time_s, frame.frame)
            before = self._labels.get(label)
            self._labels[label] = LabelSummary(
                detections=count + (before.detections if before else 0),
                frames=1 + (before.frames if before else 0),
                peak_concurrent=_higher(before.peak_concurrent if before else None, peak),
                first_seen_s=before.first_seen_s if before else frame.time_s,
                last_seen_s=frame.time_s,
            )

    def result(self, frames_analysed: int) -> Summary:
        """``frames_analysed`` counts also the frames in which nothing was seen."""
        return Summary(frames_analysed, self._detections, self._busiest, dict(sorted(self._labels.items())))


def _higher(current: Peak | None, candidate: Peak) -> Peak:
    return candidate if current is None or candidate.count > current.count else current
