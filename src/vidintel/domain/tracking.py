"""Tracks, and how the detections of one track id become a `Track` with label, time span, path and best shot.

A tracker, which is an adapter, assigns the detections to track ids.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.geometry import Point

PATH_TOLERANCE = 0.005
"""How far a simplified path strays from the true one, as a share of the picture."""
MAX_PATH_POINTS = 512
LOW_THRESHOLD = 0.1
"""The tracker gets detections of at least this confidence, also unreported ones: they bridge gaps (ByteTrack)."""
ROUNDING_S = 1e-6
"""Frame times are rounded, so comparisons with a limit allow for this difference, in seconds."""
_WINDOW = 64
_EDGE = 0.005


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """The detections of one frame and, in the same order, their track ids; ``None`` for a detection without a track."""

    frame: FrameDetections
    track_ids: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """One detection of a track. ``box`` is normalised 0..1; times are seconds on the player's timeline."""

    frame: int
    time_s: float
    box: BoundingBox
    confidence: float
    label: str

    @classmethod
    def of(cls, frame: FrameDetections, detection: Detection) -> "TrackPoint":
        return cls(frame.frame, frame.time_s, detection.box, detection.confidence, detection.label)

    @property
    def anchor(self) -> Point:
        """The point that stands for the object: its box's centre."""
        return Point.centre_of(self.box)


@dataclass(frozen=True, slots=True)
class BestShot:
    """The best view of an object: large, of high confidence, and not cut off by an edge of the picture."""

    frame: int
    time_s: float
    box: BoundingBox


@dataclass(frozen=True, slots=True)
class PathPoint:
    time_s: float
    at: Point


@dataclass(frozen=True, slots=True)
class Track:
    """One object, from its first to its last detection.

    ``track_id`` counts a video's tracks from 1 in order of first appearance. ``label`` is the one with the highest sum
    of confidences; ``confidence`` (0..1) is the mean confidence of the detections with that label. ``points`` counts
    the detections. ``path`` holds the anchors, thinned so that anchors interpolated in time between two kept ones are
    off by at most about `PATH_TOLERANCE`; past `MAX_PATH_POINTS` every other one is dropped.
    """

    track_id: int
    label: str
    confidence: float
    first_seen_s: float
    last_seen_s: float
    points: int
    path: tuple[PathPoint, ...]
    best_shot: BestShot

    @property
    def duration_s(self) -> float:
        return self.last_seen_s - self.first_seen_s


class TrackBuilder:
    """Builds a track from its points, given in order of time. Its memory does not grow with their number."""

    def __init__(self, track_id: int, first: TrackPoint) -> None:
        self._id = track_id
        self._first = self._last = first
        self._points = 0
        self._votes: dict[str, float] = defaultdict(float)
        self._of_label: dict[str, int] = defaultdict(int)
        self._best = first
        self._path = _Path()
        self.add(first)

    @property
    def last_seen_s(self) -> float:
        return self._last.time_s

    def add(self, point: TrackPoint) -> None:
        self._last = point
        self._points += 1
        self._votes[point.label] += point.confidence
        self._of_label[point.label] += 1
        self._path.add(PathPoint(point.time_s, point.anchor))
        if _shot_quality(point) > _shot_quality(self._best):
            self._best = point

    def build(self) -> Track:
        # On equal votes the name that sorts first wins, so the outcome does not depend on the order of the points.
        label = min(self._votes, key=lambda name: (-self._votes[name], name))
        return Track(
            track_id=self._id,
            label=label,
            confidence=self._votes[label] / self._of_label[label],
            first_seen_s=self._first.time_s,
            last_seen_s=self._last.time_s,
            points=self._points,
            path=self._path.points(),
            best_shot=BestShot(self._best.frame, self._best.time_s, self._best.box),
        )


class LiveTracks:
    """Turns tracked frames, given in presentation order, into tracks. Memory grows with the live tracks only.

    A track without detections for longer than ``forget_after_s`` seconds is finished. A tracker must not use its id
    again.
    """

    def __init__(self, forget_after_s: float) -> None:
        self._forget_after_s = forget_after_s
        self._live: dict[int, TrackBuilder] = {}

    def add(self, tracked: TrackedFrame) -> list[Track]:
        """Add one frame; returns the tracks that are finished by now, by id."""
        for track_id, point in points_of(tracked):
            if builder := self._live.get(track_id):
                builder.add(point)
            else:
                self._live[track_id] = TrackBuilder(track_id, point)
        since = tracked.frame.time_s - self._forget_after_s
        return self._take(track_id for track_id, builder in self._live.items() if builder.last_seen_s < since)

    def close(self) -> list[Track]:
        """The tracks that were live when the video ended, by id."""
        return self._take(self._live)

    def _take(self, track_ids: Iterable[int]) -> list[Track]:
        return [self._live.pop(track_id).build() for track_id in sorted(track_ids)]


def points_of(tracked: TrackedFrame) -> list[tuple[int, TrackPoint]]:
    """The detections of a frame that belong to a track, each with its track's id."""
    pairs = zip(tracked.track_ids, tracked.frame.detections, strict=True)
    return [(track_id, TrackPoint.of(tracked.frame, seen)) for track_id, seen in pairs if track_id is not None]


def _shot_quality(point: TrackPoint) -> tuple[bool, float]:
    box = point.box
    is_whole = box.x1 > _EDGE and box.y1 > _EDGE and box.x2 < 1 - _EDGE and box.y2 < 1 - _EDGE
    return is_whole, box.area * point.confidence**2


class _Path:
    """Simplifies a path point by point: keeps a point when those since the last kept one leave the straight line.

    This is the opening-window algorithm with the synchronised distance of Meratnia and de By (2004). That distance
    takes time into account, so a stop stays visible in the path.
    """

    def __init__(self) -> None:
        self._kept: list[PathPoint] = []
        self._window: list[PathPoint] = []

    def add(self, point: PathPoint) -> None:
        if not self._kept:
            self._kept.append(point)
            return
        if self._window and (len(self._window) == _WINDOW or not self._is_straight(point)):
            self._kept.append(self._window[-1])
            self._window.clear()
            if len(self._kept) >= MAX_PATH_POINTS:
                del self._kept[1:-1:2]
        self._window.append(point)

    def points(self) -> tuple[PathPoint, ...]:
        return (*self._kept, *self._window[-1:])

    def _is_straight(self, end: PathPoint) -> bool:
        start = self._kept[-1]
        return all(_deviation(start, between, end) <= PATH_TOLERANCE for between in self._window)


def _deviation(start: PathPoint, between: PathPoint, end: PathPoint) -> float:
    share = (between.time_s - start.time_s) / (end.time_s - start.time_s) if end.time_s > start.time_s else 0.0
    expected = start.at.towards(end.at, min(max(share, 0.0), 1.0))
    return max(abs(expected.x - between.at.x), abs(expected.y - between.at.y))
