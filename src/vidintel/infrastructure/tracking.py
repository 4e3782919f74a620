"""`MotionTracker`: follows objects by how they move, through gaps in which they are hidden.

Works in two steps. Tracklets join detections of neighbouring frames; a tracklet that was observed for a moment is then
taken for the continuation of an ended one when the way and the speed of both fit. Decisions therefore lag behind by
about a second, or two frames, and need memory for that long only. Of many frames a second, some are skipped in both
steps, and joined afterwards.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from vidintel.domain.detection import FrameDetections
from vidintel.domain.tracking import TrackedFrame
from vidintel.infrastructure.tracklets import Association, Floats, Motion, Sighting, TrackingSettings, Tracklet

VEHICLES = ("car", "truck", "bus", "van", "train")
CYCLES = ("bicycle", "motorcycle")
ANIMALS = ("cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
KINDS: Mapping[str, str] = {label: group[0] for group in (VEHICLES, CYCLES, ANIMALS) for label in group}
"""Labels that a model takes for one another are followed as one kind; any other label is a kind of its own."""

_MIN_SIGHTINGS = 2
_KNOWN_SPEED_S = 0.3
_MAX_SIZE_RATIO = 4.0


class MotionTracker:
    """Implements `Tracker`. One per video; the same frames always give the same tracks.

    ``frame_interval_s`` is the usual time between analysed frames, seconds.
    """

    def __init__(self, frame_interval_s: float, settings: TrackingSettings | None = None) -> None:
        self._settings = settings or TrackingSettings()
        self._interval_s = max(frame_interval_s, self._settings.step_s)
        self._kinds: dict[str, _Kind] = {}
        self._waiting: deque[_Seen] = deque()
        self._skipped: list[_Seen] = []
        self._last_step_s = -np.inf
        self._ids = count(1)

    @property
    def memory_s(self) -> float:
        """A track that was not seen for longer than this many seconds never comes back."""
        return self._settings.max_gap_s

    def update(self, frame: FrameDetections) -> Sequence[TrackedFrame]:
        sightings: dict[str, list[Sighting]] = {}
        for place, one in enumerate(frame.detections):
            box = one.box
            if one.confidence >= self._settings.doubtful_confidence and box.area > 0:
                corners = np.array((box.x1, box.y1, box.x2, box.y2))
                name = KINDS.get(one.label, one.label)
                sightings.setdefault(name, []).append(Sighting(corners, one.confidence, place))
        seen = _Seen(frame, sightings, [None] * len(frame.detections))
        if frame.time_s - self._last_step_s < self._settings.step_s:
            self._skipped.append(seen)
            return []
        return self._step(seen)

    def finish(self) -> Sequence[TrackedFrame]:
        settled = self._step(self._skipped.pop()) if self._skipped else []
        for kind in self._kinds.values():
            kind.finish()
        return [*settled, *self._settled()]

    def _step(self, seen: "_Seen") -> list[TrackedFrame]:
        """Join the frame, and those that were skipped before it."""
        for name in seen.sightings.keys() - self._kinds.keys():
            self._kinds[name] = _Kind(self._settings, self._interval_s)
        for name, kind in self._kinds.items():
            kind.add(name, seen, self._skipped)
        self._last_step_s = seen.frame.time_s
        self._waiting.extend((*self._skipped, seen))
        self._skipped.clear()
        return self._settled()

    def _settled(self) -> list[TrackedFrame]:
        settled = []
        while self._waiting and all(link is None or link.is_decided for link in self._waiting[0].links):
            seen = self._waiting.popleft()
            ids = tuple(None if link is None else self._id(link) for link in seen.links)
            settled.append(TrackedFrame(seen.frame, ids))
        return settled

    def _id(self, link: "_Link") -> int | None:
        if link.tracklet.count < _MIN_SIGHTINGS:
            return None
        if link.track_id is None:
            link.track_id = self._id(link.before) if link.before else next(self._ids)
        return link.track_id


class _Link:
    """A tracklet and, once that is decided, the earlier one it continues."""

    def __init__(self, tracklet: Tracklet) -> None:
        self.tracklet = tracklet
        self.before: _Link | None = None
        self.is_decided = False
        self.track_id: int | None = None


class _Seen(NamedTuple):
    """A frame, what was seen in it by kind, and for each of its detections the tracklet that it belongs to."""

    frame: FrameDetections
    sightings: Mapping[str, Sequence[Sighting]]
    links: list[_Link | None]


class _Kind:
    """All objects that may be taken for one another."""

    def __init__(self, settings: TrackingSettings, frame_interval_s: float) -> None:
        self._settings = settings
        self._association = Association(settings, frame_interval_s)
        self._confirm_s = max(settings.confirm_s, self._association.coast_s + frame_interval_s)
        self._live: dict[int, _Link] = {}
        self._undecided: list[_Link] = []
        self._ended: list[_Link] = []

    def add(self, name: str, seen: _Seen, skipped: Sequence[_Seen]) -> None:
        """Join what was ``seen`` of this kind to tracklets, and then what was seen in the frames ``skipped`` before."""
        time_s, links = seen.frame.time_s, dict(self._live)
        self._association.advance(time_s)
        self._end_all_but(self._association.live)
        self._decide(time_s)
        for sighting, tracklet in self._association.add(time_s, seen.sightings.get(name, ())):
            link = self._live.get(id(tracklet))
            if link is None:
                link = self._live[id(tracklet)] = _Link(tracklet)
                self._undecided.append(link)
            seen.links[sighting.place] = link
        links |= self._live
        candidates = [link.tracklet for link in links.values()]
        for each in skipped:
            found = self._association.between(each.frame.time_s, each.sightings.get(name, ()), candidates)
            for sighting, tracklet in found:
                each.links[sighting.place] = links[id(tracklet)]

    def finish(self) -> None:
        self._end_all_but([])
        self._decide(np.inf)

    def _end_all_but(self, tracklets: Sequence[Tracklet]) -> None:
        alive = {id(tracklet) for tracklet in tracklets}
        for key in [key for key in self._live if key not in alive]:
            link = self._live.pop(key)
            if link.tracklet.count >= _MIN_SIGHTINGS:
                self._ended.append(link)

    def _decide(self, time_s: float) -> None:
        """Find for each tracklet that was observed long enough which one it continues, if any."""
        live = {id(link) for link in self._live.values()}
        due = [
            link
            for link in self._undecided
            if id(link) not in live or link.tracklet.first_s + self._confirm_s <= time_s
        ]
        if due:
            self._link(due)
            self._undecided = [link for link in self._undecided if not link.is_decided]
        earliest = min((link.tracklet.first_s for link in self._undecided), default=time_s) - self._settings.max_gap_s
        self._ended = [link for link in self._ended if link.tracklet.last_s >= earliest]

    def _link(self, due: Sequence[_Link]) -> None:
        # those not due yet take part, so that they are not robbed of what fits them better
        costs = sorted(
            (cost, after, before)
            for after, later in enumerate(self._undecided)
            if later.tracklet.count >= _MIN_SIGHTINGS
            for before, earlier in enumerate(self._ended)
            if later is not earlier and (cost := self._cost(earlier.tracklet, later.tracklet)) is not None
        )
        taken_after, taken_before = set(), set()
        for _, after, before in costs:
            if after not in taken_after and before not in taken_before:
                taken_after.add(after)
                taken_before.add(before)
                if self._undecided[after] in due:
                    self._undecided[after].before = self._ended[before]
        continued = {id(link.before) for link in due}
        self._ended = [link for link in self._ended if id(link) not in continued]
        for link in due:
            link.is_decided = True

    def _cost(self, earlier: Tracklet, later: Tracklet) -> float | None:
        """How badly the two fit as one object, ``None`` when they cannot be one."""
        settings = self._settings
        gap_s = later.first_s - earlier.last_s
        if not 0 < gap_s <= settings.max_gap_s:
            return None
        end, start = earlier.last_motion(), later.first_motion()
        if np.prod(np.maximum(end.size, start.size) / np.minimum(end.size, start.size)) > _MAX_SIZE_RATIO:
            return None
        size = (end.size + start.size) / 2
        before, after = _speeds(end, start)
        if before is None or after is None:
            if gap_s > 2 * _KNOWN_SPEED_S:
                return None
            before = after = np.zeros(2)
        change = float(np.hypot(*((after - before) / size)))
        speed = max(float(np.hypot(*(before / size))), float(np.hypot(*(after / size))))
        if change > settings.speed_change + settings.speed_change_share * speed:
            return None
        # the mean of both speeds is exact for any even change of speed
        away = float(np.hypot(*((start.centre - end.centre - (before + after) / 2 * gap_s) / size)))
        reach = settings.gap_reach + settings.gap_reach_per_s * gap_s
        return away / reach + 0.15 * change + 0.1 * gap_s if away < reach else None


def _speeds(end: Motion, start: Motion) -> tuple[Floats | None, Floats | None]:
    """Velocity before and after a gap; where one was seen too briefly, the other's stands for both."""
    before = end.velocity if end.span_s >= _KNOWN_SPEED_S else None
    after = start.velocity if start.span_s >= _KNOWN_SPEED_S else None
    return (after if before is None else before), (before if after is None else after)
