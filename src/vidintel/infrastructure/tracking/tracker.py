"""`MotionTracker`: tracks objects by their motion and appearance, through gaps in which they are hidden.

It works in two steps. First, tracklets join detections of neighbouring frames. Then a tracklet that was observed for
about a second is linked to an ended one when position, speed and appearance of both fit. So decisions lag behind by
about a second or two frames, and where an object was seen only once, by the longest gap; memory is bounded by the same
time. At high frame rates both steps skip some frames, whose detections are matched afterwards.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from vidintel.domain.detection import FrameDetections
from vidintel.domain.tracking import TrackedFrame
from vidintel.infrastructure.tracking.association import Association
from vidintel.infrastructure.tracking.reidentification import log_odds
from vidintel.infrastructure.tracking.tracklets import Sighting, TrackingSettings, Tracklet

VEHICLES = ("car", "truck", "bus", "van", "train")
CYCLES = ("bicycle", "motorcycle")
ANIMALS = ("cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
KINDS: Mapping[str, str] = {label: group[0] for group in (VEHICLES, CYCLES, ANIMALS) for label in group}
"""Labels that a model confuses are tracked as one kind; any other label is a kind of its own."""

_MIN_SIGHTINGS = 2
_MAX_LONE = 30
"""The most tracklets with a single sighting that are kept of each kind: where there are more, they are noise."""


class MotionTracker:
    """Implements `Tracker`. One per video; the same frames always give the same tracks.

    ``frame_interval_s`` is the usual time between analysed frames, seconds; a track must hold a detection of
    ``track_confidence`` (0..1).
    """

    def __init__(
        self, frame_interval_s: float, track_confidence: float = 0.6, settings: TrackingSettings | None = None
    ) -> None:
        self._track_confidence = track_confidence
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
        return max(self._settings.max_gap_s, 2 * self._settings.coasting_s(self._interval_s))

    def update(self, frame: FrameDetections) -> Sequence[TrackedFrame]:
        sightings: dict[str, list[Sighting]] = {}
        for place, one in enumerate(frame.detections):
            box = one.box
            if one.confidence >= self._settings.low_threshold and box.area > 0:
                corners = np.array((box.x1, box.y1, box.x2, box.y2))
                name = KINDS.get(one.label, one.label)
                embedding = np.frombuffer(one.appearance, np.uint8).astype(np.float64) if one.appearance else None
                sightings.setdefault(name, []).append(Sighting(place, corners, one.label, one.confidence, embedding))
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
            self._kinds[name] = _Kind(self._settings, self._interval_s, self._track_confidence)
        for name, kind in self._kinds.items():
            kind.add(name, seen, self._skipped)
        self._last_step_s = seen.frame.time_s
        self._waiting.extend((*self._skipped, seen))
        self._skipped.clear()
        return self._settled()

    def _is_confirmed(self, track: "_Track") -> bool:
        """Whether the object was seen often enough, and at least once with ``track_confidence``."""
        return track.sightings >= _MIN_SIGHTINGS and track.highest_confidence >= self._track_confidence

    def _is_settled(self, link: "_Link") -> bool:
        """Whether everything that the id of its track depends on is known."""
        return link.is_decided and (link.track.is_final or self._is_confirmed(link.track))

    def _settled(self) -> list[TrackedFrame]:
        settled = []
        while self._waiting and all(link is None or self._is_settled(link) for link in self._waiting[0].links):
            seen = self._waiting.popleft()
            settled.append(TrackedFrame(seen.frame, self._ids_of(seen)))
        return settled

    def _ids_of(self, seen: "_Seen") -> tuple[int | None, ...]:
        """The track id of each detection.

        Where the end of a tracklet overlaps in time with the one that continues it, the detection with the higher
        confidence has the id.
        """
        best: dict[int, int] = {}
        ids = [None if link is None else self._id(link) for link in seen.links]
        for place, track_id in enumerate(ids):
            if track_id is not None:
                rival = best.setdefault(track_id, place)
                if seen.frame.detections[place].confidence > seen.frame.detections[rival].confidence:
                    best[track_id] = place
        kept = set(best.values())
        return tuple(track_id if place in kept else None for place, track_id in enumerate(ids))

    def _id(self, link: "_Link") -> int | None:
        track = link.track
        if not self._is_confirmed(track):
            return None
        if track.track_id is None:
            track.track_id = next(self._ids)
        return track.track_id


class _Track:
    """What is known of one object: how often and how confidently it was seen, and whether it may still come back."""

    def __init__(self) -> None:
        self.track_id: int | None = None
        self.is_final = False
        self.sightings = 0
        self.highest_confidence = 0.0
        self.part_of: _Track | None = None
        """The track that this one turned out to continue."""

    @property
    def whole(self) -> "_Track":
        """The track that this one became part of, or itself."""
        while self.part_of is not None and self.part_of.part_of is not None:
            self.part_of = self.part_of.part_of
        return self.part_of or self

    def add(self, confidence: float) -> None:
        self.sightings += 1
        self.highest_confidence = max(self.highest_confidence, confidence)

    def become_part_of(self, earlier: "_Track") -> None:
        earlier.sightings += self.sightings
        earlier.highest_confidence = max(earlier.highest_confidence, self.highest_confidence)
        earlier.is_final = self.is_final
        self.part_of = earlier


class _Link:
    """A tracklet and the track that it belongs to, which is decided after a while.

    ``is_continued`` when a later tracklet continues it.
    """

    def __init__(self, tracklet: Tracklet, track: _Track) -> None:
        self.tracklet = tracklet
        self.is_decided = False
        self.is_continued = False
        self._track = track

    @property
    def track(self) -> _Track:
        return self._track.whole


class _Seen(NamedTuple):
    """A frame, what was seen in it by kind, and for each of its detections the tracklet that it belongs to."""

    frame: FrameDetections
    sightings: Mapping[str, Sequence[Sighting]]
    links: list[_Link | None]


class _Kind:
    """All objects that may be taken for one another."""

    def __init__(self, settings: TrackingSettings, frame_interval_s: float, track_confidence: float) -> None:
        self._settings = settings
        self._track_confidence = track_confidence
        self._association = Association(settings, frame_interval_s, track_confidence)
        self._coast_s = settings.coasting_s(frame_interval_s)
        self._confirm_s = max(settings.confirm_s, self._coast_s + frame_interval_s)
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
                link = self._live[id(tracklet)] = _Link(tracklet, _Track())
                self._undecided.append(link)
            link.track.add(sighting.confidence)
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
        self._forget(self._ended)

    def _end_all_but(self, tracklets: Sequence[Tracklet]) -> None:
        alive = {id(tracklet) for tracklet in tracklets}
        for key in [key for key in self._live if key not in alive]:
            self._ended.append(self._live.pop(key))
        lone = [link for link in self._ended if link.tracklet.count == 1]
        if len(lone) > _MAX_LONE:
            self._forget(lone[:-_MAX_LONE])

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
        self._forget([link for link in self._ended if link.tracklet.last_s < earliest])

    def _forget(self, links: Sequence[_Link]) -> None:
        """These ended too long ago to be continued."""
        forgotten = set(links)
        for link in forgotten:
            link.track.is_final = True
        self._ended = [link for link in self._ended if link not in forgotten]

    def _link(self, due: Sequence[_Link]) -> None:
        # Those not due yet take part: another must not take the earlier tracklet that fits them better.
        pairs = sorted(
            (-odds, after, before)
            for after, later in enumerate(self._undecided)
            for before, earlier in enumerate(self._ended)
            if later is not earlier and (odds := self._log_odds(earlier.tracklet, later.tracklet)) is not None
        )
        decided, taken_after, taken_before = set(due), set(), set()
        for _, after, before in pairs:
            if after not in taken_after and before not in taken_before:
                taken_after.add(after)
                taken_before.add(before)
                if self._undecided[after] in decided:
                    later, earlier = self._undecided[after], self._ended[before]
                    later.track.become_part_of(earlier.track)
                    later.tracklet.continue_from(earlier.tracklet)
                    earlier.is_continued = True
        self._ended = [link for link in self._ended if not link.is_continued]
        for link in due:
            link.is_decided = True

    def _log_odds(self, earlier: Tracklet, later: Tracklet) -> float | None:
        # Of two tracklets with one sighting each, no speed is known.
        is_blind = earlier.count == later.count == 1
        longest_s = 2 * self._coast_s if is_blind else self._settings.max_gap_s
        if not 0 < later.first_s - earlier.last_motion().time_s <= longest_s:
            return None
        odds = log_odds(earlier, later)
        return odds if odds is not None and odds > self._settings.least_log_odds else None
