"""Tracklets: unbroken runs of detections of one object, with their motion and mean appearance.

Everything is in seconds and in shares of the box, so that the same settings serve any frame rate. Boxes are arrays
``(n, 4)``, xyxy, 0..1 of the picture.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
APPEARANCE_S = 3.0
"""The time over which appearance embeddings are averaged, about."""
USUAL_DIFFERENCE = 10.0
"""The `difference` that is as usual for one object as for two, so it says nothing."""
LEAVING_SPEED = 0.15
"""An object that moves towards an edge of the picture faster than this, in box sizes a second, is leaving by it."""
_TOUCHING = 0.005
"""A box nearer than this to an edge, as a share of the picture, touches the edge."""
_CLEAR = 0.1
"""A box is clear of an edge when it is this share of its size further away than a box that touches the edge."""
_MOSTLY_OUT = 0.4
"""An object that an edge cuts to less than this share of its size is leaving by it, however slowly."""
_UNRELIABLE = 0.3
"""At the end of a tracklet, boxes with a confidence below this are unreliable: something covers the object."""
_NO_EDGE = np.zeros(4, np.bool_)


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """How objects are tracked. Times are seconds, confidences and overlaps 0..1, distances box sizes.

    Times are lengthened where frames lie too far apart for them.
    """

    step_s: float = 0.18
    """Frames closer to one another are skipped at first, and their detections matched afterwards to the tracklets
    before and after: small steps say little about motion, and mislead where an object is being covered."""
    new_track_threshold: float = 0.45
    """A detection of at least this confidence may begin a tracklet."""
    high_threshold: float = 0.5
    """Detections of at least this confidence are matched first."""
    low_threshold: float = 0.1
    """Detections below this confidence are ignored; those from here to the thresholds above only extend tracklets."""
    dip_confidence: float = 0.4
    """A tracklet whose confidence fell below this ends where it would rise again to the confidence of a track: one
    object may have been covered and another one come out there. The second step decides whether they are the same."""
    disagreement_similarity: float = 0.3
    """How much more similar a detection of confidence 1 must be when its label is none of the tracklet's; less where
    the tracklet's own label varies."""
    appearance_weight: float = 0.03
    """By how much a unit of `difference` outweighs similarity when several tracklets could be continued."""
    duplicate_cover: float = 0.8
    """A detection is a duplicate when this share of it lies in one of higher confidence."""
    high_match_similarity: float = 0.3
    low_match_similarity: float = 0.4
    young_buffer: float = 0.5
    """By how much boxes are enlarged on each side while the speed is not known (fewer than 3 sightings)."""
    settled_buffer: float = 0.1
    motion_window_s: float = 1.2
    """Motion is estimated over this time."""
    coast_s: float = 0.5
    """A tracklet not seen for longer has ended."""
    min_visible: float = 0.15
    """A tracklet with less than this share of its predicted box in the picture has left."""
    confirm_s: float = 1.0
    """A tracklet is observed this long before it is decided which earlier one it continues."""
    max_gap_s: float = 12.0
    """The longest time an object may be hidden and still be the same."""
    least_log_odds: float = -1.1
    """How likely it must be that a tracklet continues another (see `reidentification.log_odds`)."""

    def coasting_s(self, frame_interval_s: float) -> float:
        """How long a tracklet lives without a detection, seconds: `coast_s`, but at least through one missed frame."""
        return max(self.coast_s, 1.5 * frame_interval_s)


class Sighting(NamedTuple):
    """A detection of one frame: its place there, box (4,), label, confidence, and its embedding (n,) if it has one."""

    place: int
    box: Floats
    label: str
    confidence: float
    appearance: Floats | None = None


class Point(NamedTuple):
    """A sighting of a tracklet in time."""

    time_s: float
    box: Floats
    confidence: float


class MeanAppearance:
    """The mean appearance embedding of a tracklet. High confidences weigh more, older sightings less."""

    def __init__(self) -> None:
        self.total: Floats | None = None
        self.weight = 0.0
        self.time_s = 0.0

    def add(self, time_s: float, sighting: Sighting) -> None:
        if sighting.appearance is not None:
            weight = sighting.confidence**6
            self._fade(time_s)
            self._include(weight * sighting.appearance, weight)

    def add_earlier(self, earlier: "MeanAppearance") -> None:
        """Add all of an earlier mean, which weighs less by its age."""
        if earlier.total is None:
            return
        if self.total is None:
            self.time_s = earlier.time_s
        kept = float(np.exp((earlier.time_s - self.time_s) / APPEARANCE_S))
        self._include(kept * earlier.total, kept * earlier.weight)

    @property
    def embedding(self) -> Floats | None:
        """Shape (n,); ``None`` when no sighting had one."""
        return None if self.total is None else self.total / self.weight

    def _fade(self, time_s: float) -> None:
        if self.total is not None:
            kept = float(np.exp((self.time_s - time_s) / APPEARANCE_S))
            self.total, self.weight = kept * self.total, kept * self.weight
        self.time_s = time_s

    def _include(self, total: Floats, weight: float) -> None:
        self.total = total if self.total is None else self.total + total
        self.weight += weight


def difference(appearance: Floats, other: Floats) -> Floats:
    """How different the appearance of two objects is, 0 for the same.

    Takes embeddings of a `ColourGridEncoder`, (…, n); returns (…). Their values are logarithms, so more or less light
    adds the same to all of them and changes the result little.
    """
    apart = appearance - other
    brighter = apart.mean(axis=-1)
    return np.asarray(np.sqrt(np.square(apart - brighter[..., None]).mean(axis=-1) + 0.1 * brighter**2), np.float64)


class Motion(NamedTuple):
    """How a tracklet moved at one of its ends: centre (2,), velocity (2,) a second, size (2,); over ``span_s``."""

    time_s: float
    centre: Floats
    velocity: Floats
    size: Floats
    span_s: float

    @property
    def outward(self) -> Floats:
        """Velocity towards each edge of the picture, box sizes a second: (4,), in the order of a box."""
        speed = self.velocity / self.size
        return np.concatenate((-speed, speed))


class Tracklet:
    """An unbroken run of sightings, of which only the two ends are kept.

    ``lowest_confidence`` is the lowest since the last sighting with the confidence of a track. ``leaves_by`` are the
    edges of the picture that it touched while it moved towards them: (4,), in the order of a box.
    """

    def __init__(self, time_s: float, sighting: Sighting, horizon_s: float) -> None:
        self.first_s = self.last_s = time_s
        self.count = 0
        self.lowest_confidence = 1.0
        self._horizon_s = horizon_s
        self._head: list[Point] = []
        self._tail: deque[Point] = deque()
        self._before: Motion | None = None
        self._first_motion: Motion | None = None
        self._last_motion: Motion | None = None
        self.first_appearance = MeanAppearance()
        self.last_appearance = MeanAppearance()
        self.leaves_by = _NO_EDGE
        self._touched = _NO_EDGE
        self._largest = np.zeros(2)
        self._votes: dict[str, float] = {}
        self._labels: Mapping[str, float] | None = None
        self.add(time_s, sighting)

    def add(self, time_s: float, sighting: Sighting) -> None:
        self._note_edges(sighting.box)
        self.last_s = time_s
        self.count += 1
        self._labels = None
        self._votes[sighting.label] = self._votes.get(sighting.label, 0.0) + sighting.confidence
        point = Point(time_s, sighting.box, sighting.confidence)
        if time_s - self.first_s <= self._horizon_s:
            self._head.append(point)
            self._first_motion = None
        if time_s - self.first_s <= APPEARANCE_S:
            self.first_appearance.add(time_s, sighting)
        self.last_appearance.add(time_s, sighting)
        self._tail.append(point)
        self._last_motion = None
        while len(self._tail) > 3 and self._tail[0].time_s < time_s - self._horizon_s:
            self._tail.popleft()

    def labels(self) -> Mapping[str, float]:
        """The share of each label among its sightings, weighted by confidence."""
        if self._labels is None:
            total = sum(self._votes.values())
            self._labels = {label: votes / total for label, votes in self._votes.items()}
        return self._labels

    def turns_back(self, box: Floats) -> bool:
        """Whether ``box`` is clear of an edge of the picture by which the tracklet was leaving."""
        if not self.leaves_by.any():
            return False
        size = np.tile(box[2:] - box[:2], 2)
        return bool((self.leaves_by & (_to_edges(box) > _TOUCHING + _CLEAR * size)).any())

    def _note_edges(self, box: Floats) -> None:
        touched = _to_edges(box) <= _TOUCHING
        size = box[2:] - box[:2]
        self._largest = np.maximum(self._largest, size)
        self.leaves_by = self.leaves_by | (touched & np.tile(size < _MOSTLY_OUT * self._largest, 2))
        if self.count > 1 and (touched & ~self._touched).any():
            self.leaves_by = self.leaves_by | (touched & (self.last_motion().outward > LEAVING_SPEED))
        self._touched = touched

    def _reliable_tail(self) -> list[Point]:
        tail = list(self._tail)
        while len(tail) > 1 and tail[-1].confidence < _UNRELIABLE:
            tail.pop()
        return tail

    def _motion_since(self, motion: Motion) -> Motion:
        if self._before is None or motion.span_s >= self._horizon_s / 2:
            return motion
        elapsed_s = motion.time_s - self._before.time_s
        return motion._replace(velocity=(motion.centre - self._before.centre) / elapsed_s, span_s=elapsed_s)

    def predict(self, time_s: float, window_s: float) -> Floats:
        """The box expected at ``time_s``; it may reach beyond the picture."""
        recent = [point for point in self._tail if point.time_s >= self.last_s - window_s - 1e-6]
        if len(recent) < 3:
            recent = list(self._tail)[-3:]
        times, boxes = np.array([point.time_s for point in recent]), np.array([point.box for point in recent])
        position, velocity = _fit(times, boxes, self.last_s)
        # The mean of the fit and the last sighting is smooth, yet follows a change of speed quickly.
        return (position + recent[-1].box) / 2 + velocity * (time_s - self.last_s)

    def around(self, time_s: float, window_s: float) -> Floats:
        """The box at ``time_s``: between the last two sightings, or expected after them."""
        if time_s >= self.last_s:
            return self.predict(time_s, window_s)
        before, after = self._tail[-2 if len(self._tail) > 1 else -1], self._tail[-1]
        apart_s = after.time_s - before.time_s
        share = np.clip((time_s - before.time_s) / apart_s, 0.0, 1.0) if apart_s > 0 else 1.0
        return before.box + (after.box - before.box) * share

    def first_motion(self) -> Motion:
        if self._first_motion is None:
            self._first_motion = _motion(self._head, self.first_s)
        return self._first_motion

    def last_motion(self) -> Motion:
        """At its last reliable sighting. If seen too briefly, the speed is the mean since the tracklet it continues."""
        if self._last_motion is None:
            tail = self._reliable_tail()
            self._last_motion = self._motion_since(_motion(tail, tail[-1].time_s))
        return self._last_motion

    def continue_from(self, earlier: "Tracklet") -> None:
        """Take over what the earlier tracklet of the same object knows."""
        self._before = earlier.last_motion()
        self.leaves_by = self.leaves_by | (earlier.leaves_by & self._touched)
        self._last_motion = None
        self.last_appearance.add_earlier(earlier.last_appearance)


def _to_edges(box: Floats) -> Floats:
    """The distance of a box from each edge of the picture: (4,), in the order of a box."""
    return np.concatenate((box[:2], 1.0 - box[2:]))


def _fit(times: Floats, values: Floats, time_s: float) -> tuple[Floats, Floats]:
    """Least-squares line through ``values`` (n, …) at ``times`` (n,): value at ``time_s`` and change a second."""
    apart = times - times.mean()
    spread = float(apart @ apart)
    slope = apart @ values / spread if spread > 0 else np.zeros(values.shape[1])
    return values.mean(axis=0) + slope * (time_s - times.mean()), slope


def _motion(points: Sequence[Point], time_s: float) -> Motion:
    boxes = np.array([point.box for point in points])
    sizes = boxes[:, 2:] - boxes[:, :2]
    # Boxes cut by an edge or by another object have their centre in the wrong place.
    whole = (sizes >= 0.8 * np.median(sizes, axis=0)).all(axis=1)
    if whole.sum() < 3:
        whole[:] = True
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    times = np.array([point.time_s for point in points])
    centre, velocity = _fit(times[whole], centres[whole], time_s)
    size = np.maximum(np.median(sizes[whole], axis=0), 1e-3)
    return Motion(time_s, centre, velocity, size, float(times[-1] - times[0]))
