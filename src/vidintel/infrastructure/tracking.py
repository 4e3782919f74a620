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
from vidintel.infrastructure.reidentification import log_odds
from vidintel.infrastructure.tracklets import Association, Sighting, TrackingSettings, Tracklet

VEHICLES = ("car", "truck", "bus", "van", "train")
CYCLES = ("bicycle", "motorcycle")
ANIMALS = ("cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
KINDS: Mapping[str, str] = {label: group[0] for group in (VEHICLES, CYCLES, ANIMALS) for label in group}
"""Labels that a model takes for one another are followed as one kind; any other label is a kind of its own."""

_MIN_SIGHTINGS = 2


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
                look = np.frombuffer(one.appearance, np.uint8).astype(np.float64) if one.appearance else None
                sightings.setdefault(name, []).append(Sighting(corners, one.confidence, place, look))
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
        while self._waiting and all(link is None or link.is_settled for link in self._waiting[0].links):
            seen = self._waiting.popleft()
            ids = tuple(None if link is None else self._id(link) for link in seen.links)
            settled.append(TrackedFrame(seen.frame, ids))
        return settled

    def _id(self, link: "_Link") -> int | None:
        if not link.is_confirmed:
            return None
        if link.track_id is None:
            link.track_id = self._id(link.before) if link.before else next(self._ids)
        return link.track_id


class _Link:
    """A tracklet and, once that is decided, the earlier one it continues.

    ``is_continued`` when a later one continues it, ``is_final`` when none ever will.
    """

    def __init__(self, tracklet: Tracklet) -> None:
        self.tracklet = tracklet
        self.before: _Link | None = None
        self.is_decided = False
        self.is_continued = False
        self.is_final = False
        self.track_id: int | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether it was seen often enough, alone or with those that it belongs to."""
        return self.tracklet.count >= _MIN_SIGHTINGS or self.before is not None or self.is_continued

    @property
    def is_settled(self) -> bool:
        """Whether everything is known that its track's id depends on."""
        return self.is_decided and (self.is_confirmed or self.is_final)


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
        for link in self._ended:
            link.is_final = True

    def _end_all_but(self, tracklets: Sequence[Tracklet]) -> None:
        alive = {id(tracklet) for tracklet in tracklets}
        for key in [key for key in self._live if key not in alive]:
            self._ended.append(self._live.pop(key))

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
        for link in self._ended:
            link.is_final = link.tracklet.last_s < earliest
        self._ended = [link for link in self._ended if not link.is_final]

    def _link(self, due: Sequence[_Link]) -> None:
        # those not due yet take part, so that they are not robbed of what fits them better
        pairs = sorted(
            (-odds, after, before)
            for after, later in enumerate(self._undecided)
            for before, earlier in enumerate(self._ended)
            if later is not earlier and (odds := self._log_odds(earlier.tracklet, later.tracklet)) is not None
        )
        taken_after, taken_before = set(), set()
        for _, after, before in pairs:
            if after not in taken_after and before not in taken_before:
                taken_after.add(after)
                taken_before.add(before)
                if self._undecided[after] in due:
                    self._undecided[after].before = self._ended[before]
                    self._ended[before].is_continued = True
        self._ended = [link for link in self._ended if not link.is_continued]
        for link in due:
            link.is_decided = True

    def _log_odds(self, earlier: Tracklet, later: Tracklet) -> float | None:
        if later.first_s - earlier.last_s > self._settings.max_gap_s:
            return None
        odds = log_odds(earlier, later)
        return odds if odds is not None and odds > self._settings.least_log_odds else None
