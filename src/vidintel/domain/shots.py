"""Shot changes, found by comparing the colour histograms of analysed frames, each with the one before.

The method (``hsv_histogram``): a frame begins a shot when its colour histogram differs from that of the frame before
by `CUT_DISTANCE` or more. Each decision needs two frames only, so it does not depend on how the video is split into
segments. The method needs at least a few frames per second, because frames far apart differ without a cut. It misses
cross-fades, and cuts between scenes of the same colours.
"""

from collections.abc import Iterable
from dataclasses import dataclass

METHOD = "hsv_histogram"
CUT_DISTANCE = 0.4
"""0..1. Frames 0.2 s apart differed by 0.28 at most in three clips from fixed cameras, frames of two clips by 0.44."""


@dataclass(frozen=True, slots=True)
class FrameColours:
    """The colour histogram of one frame: ``counts`` by bin, whose sum is the same for every frame."""

    time_s: float
    counts: tuple[int, ...]

    def distance(self, other: "FrameColours") -> float:
        """0 for the same colours, 1 for none in common."""
        total = sum(self.counts) + sum(other.counts)
        apart = sum(abs(mine - theirs) for mine, theirs in zip(self.counts, other.counts, strict=True))
        return apart / total if total else 0.0


@dataclass(frozen=True, slots=True)
class ShotChanges:
    """The moments (seconds) at which shots begin in a part of a video, and its first and last frame."""

    first: FrameColours
    last: FrameColours
    times_s: tuple[float, ...] = ()


class ShotChangesFold:
    """Folds the frames of a part of a video, given in presentation order, into its `ShotChanges`."""

    def __init__(self) -> None:
        self._first: FrameColours | None = None
        self._last: FrameColours | None = None
        self._times_s: list[float] = []

    def add(self, frame: FrameColours) -> None:
        if self._first is None:
            self._first = frame
        elif self._last is not None and _is_cut(self._last, frame):
            self._times_s.append(frame.time_s)
        self._last = frame

    def result(self) -> ShotChanges | None:
        """``None`` without frames."""
        if self._first is None or self._last is None:
            return None
        return ShotChanges(self._first, self._last, tuple(self._times_s))


def shot_changes(parts: Iterable[ShotChanges]) -> tuple[float, ...]:
    """All moments at which a shot begins in a video, given its ``parts`` in order. The video's start is left out."""
    times_s: list[float] = []
    before: FrameColours | None = None
    for part in parts:
        if before is not None and _is_cut(before, part.first):
            times_s.append(part.first.time_s)
        times_s += part.times_s
        before = part.last
    return tuple(times_s)


def _is_cut(before: FrameColours, after: FrameColours) -> bool:
    return before.distance(after) >= CUT_DISTANCE
