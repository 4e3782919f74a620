"""Counts over the detections and tracks of a video, as pure functions. Each count has exactly one meaning:

``detections``       how many boxes were reported
``frames``           in how many analysed frames the label was seen at least once
``peak_concurrent``  the largest number seen at once, in one frame
``intervals``        when the label was in sight, short gaps joined
``unique_tracks``    how many tracks were long enough to count (`MinimumTrack`)
``line_crossings``   how often counted tracks crossed a line, by direction
``zones``            how many counted tracks were in a zone at once, and for how long each

A track stands for one object and counts under the label that its detections voted for. The position of a track is the
centre of its box.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from vidintel.domain.detection import FrameDetections
from vidintel.domain.errors import ValidationError
from vidintel.domain.geometry import Direction, Line, Point, Zone, validate_lines, validate_zones
from vidintel.domain.tracking import ROUNDING_S, Track, TrackPoint

LINE_MARGIN = 0.25
"""Half box extents that a track's centre must be beside a line to be on that side for certain (see `Line.depth`)."""
_BISECTIONS = 20


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest number of objects in one frame, and the first moment (seconds, frame index) with that number."""

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


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start_s`` to ``end_s``, seconds; a single moment has no length."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


class IntervalsFold:
    """``intervals``: per label, when it was in sight.

    An interval runs from a frame that shows the label to the last such frame before a gap of more than
    ``join_gap_s`` seconds. Frames come in presentation order; memory grows with the intervals.
    """

    def __init__(self, join_gap_s: float) -> None:
        self._join_gap_s = join_gap_s
        self._spans: dict[str, list[Span]] = defaultdict(list)

    def add(self, frame: FrameDetections) -> None:
        for label in {detection.label for detection in frame.detections}:
            spans = self._spans[label]
            if spans and frame.time_s - spans[-1].end_s <= self._join_gap_s + ROUNDING_S:
                spans[-1] = Span(spans[-1].start_s, frame.time_s)
            else:
                spans.append(Span(frame.time_s, frame.time_s))

    def result(self) -> Mapping[str, tuple[Span, ...]]:
        return {label: tuple(spans) for label, spans in sorted(self._spans.items())}


@dataclass(frozen=True, slots=True)
class MinimumTrack:
    """How long a track must be to count: ``seconds`` from first to last sight, **and** seen in ``points`` frames."""

    seconds: float = 0.5
    points: int = 2

    def __post_init__(self) -> None:
        if not (self.seconds >= 0 and self.points >= 1):
            raise ValidationError("A minimum track length needs seconds >= 0 and points >= 1.")

    def counts(self, track: Track) -> bool:
        return track.points >= self.points and track.duration_s >= self.seconds - ROUNDING_S


def unique_tracks(tracks: Iterable[Track], minimum: MinimumTrack) -> Mapping[str, int]:
    """``unique_tracks``: per label, how many tracks are at least as long as ``minimum``."""
    return dict(sorted(Counter(track.label for track in tracks if minimum.counts(track)).items()))


@dataclass(frozen=True, slots=True)
class LineCount:
    """How often tracks of ``label`` crossed ``line``: ``forward`` is from its left to its right."""

    line: str
    label: str
    forward: int
    backward: int


class CrossingsFold:
    """``line_crossings``: per line and label, how often tracks crossed it, by direction.

    A track crosses a line when it is clearly on one side (at least ``margin`` away), is clearly on the other side
    later, and its path in between passes between the ends of the line (net, if it does so more than once). The path is
    straight between consecutive points, however far apart they are. Jitter on the line counts nothing. Going there and
    back counts once in each direction. Going around an end of the line counts nothing.

    Give the points of each track in order of time (`add`), and the track when it is finished (`finish`). The crossings
    of a track count if the track counts. Memory grows with the number of live tracks.
    """

    def __init__(self, lines: Sequence[Line], minimum: MinimumTrack, margin: float = LINE_MARGIN) -> None:
        validate_lines(lines)
        self._lines = tuple(lines)
        self._minimum = minimum
        self._margin = margin
        self._live: dict[int, list[_LineWatch]] = {}
        self._counts: Counter[tuple[str, str, Direction]] = Counter()

    def add(self, track_id: int, point: TrackPoint) -> None:
        watches = self._live.get(track_id)
        if watches is None:
            watches = self._live[track_id] = [_LineWatch(line, self._margin) for line in self._lines]
        for watch in watches:
            watch.add(point)

    def finish(self, track: Track) -> None:
        for watch in self._live.pop(track.track_id, []):
            if self._minimum.counts(track):
                for direction, count in watch.crossings.items():
                    self._counts[watch.line.name, track.label, direction] += count

    def discard(self, track_id: int) -> None:
        """The track is not reported, so its crossings do not count."""
        self._live.pop(track_id, None)

    def result(self) -> tuple[LineCount, ...]:
        """By line, as given, then by label; lines that nothing crossed have no entry."""
        labels = sorted({label for _, label, _ in self._counts})
        return tuple(
            LineCount(line.name, label, forward, backward)
            for line in self._lines
            for label in labels
            if (forward := self._counts[line.name, label, Direction.FORWARD])
            + (backward := self._counts[line.name, label, Direction.BACKWARD])
        )


class _LineWatch:
    """One track at one line."""

    def __init__(self, line: Line, margin: float) -> None:
        self.line = line
        self._margin = margin
        self.crossings: Counter[Direction] = Counter()
        self._last: Point | None = None
        self._is_right: bool | None = None
        self._net = 0

    def add(self, point: TrackPoint) -> None:
        at = point.anchor
        if self._last is not None and (crossed := self.line.crossed(self._last, at)):
            self._net += 1 if crossed is Direction.FORWARD else -1
        self._last = at
        depth = self.line.depth(at, point.box)
        if abs(depth) < self._margin:
            return
        is_right = depth > 0
        if self._is_right is not None and is_right is not self._is_right and self._net:
            self.crossings[Direction.FORWARD if is_right else Direction.BACKWARD] += 1
        self._is_right, self._net = is_right, 0


@dataclass(frozen=True, slots=True)
class ZoneUse:
    """What happened in a zone, for one label.

    ``peak`` is the largest number of tracks inside at the same time, and ``peak_at_s`` the first moment with that
    number. ``occupied`` are the intervals with at least one track inside. ``tracks`` is the number of tracks that were
    inside at any time. The dwell of a track is the time it spent inside, summed over its visits; ``dwell_total_s``,
    ``dwell_mean_s`` and ``dwell_max_s`` are over these tracks, in seconds.
    """

    zone: str
    label: str
    tracks: int
    peak: int
    peak_at_s: float
    occupied: tuple[Span, ...]
    dwell_total_s: float
    dwell_mean_s: float
    dwell_max_s: float


class ZonesFold:
    """``zones``: per zone and label, occupancy over time and dwell of the tracks that count.

    A track is in a zone while its centre is. Between two points a track is taken to move in a straight line at constant
    speed, so a visit begins and ends where that line meets the edge of the zone. A zone that a track passes through
    between two points is not noticed. Visits less than ``join_gap_s`` apart are joined, and the time between them
    counts, so that jitter at an edge does not start a second visit. Give it points and tracks as to `CrossingsFold`.
    Memory grows with the number of live tracks and of visits.
    """

    def __init__(self, zones: Sequence[Zone], minimum: MinimumTrack, *, join_gap_s: float = 0.5) -> None:
        validate_zones(zones)
        self._zones = tuple(zones)
        self._minimum = minimum
        self._join_gap_s = join_gap_s
        self._live: dict[int, list[_ZoneWatch]] = {}
        self._visits: dict[tuple[str, str], list[tuple[Span, ...]]] = defaultdict(list)

    def add(self, track_id: int, point: TrackPoint) -> None:
        watches = self._live.get(track_id)
        if watches is None:
            watches = self._live[track_id] = [_ZoneWatch(zone, self._join_gap_s) for zone in self._zones]
        for watch in watches:
            watch.add(point.time_s, point.anchor)

    def finish(self, track: Track) -> None:
        for watch in self._live.pop(track.track_id, []):
            if watch.visits and self._minimum.counts(track):
                self._visits[watch.zone.name, track.label].append(tuple(watch.visits))

    def discard(self, track_id: int) -> None:
        """The track is not reported, so its visits do not count."""
        self._live.pop(track_id, None)

    def result(self) -> tuple[ZoneUse, ...]:
        """By zone, as given, then by label; zones that nothing entered have no entry."""
        labels = sorted({label for _, label in self._visits})
        return tuple(
            _zone_use(zone.name, label, self._visits[zone.name, label])
            for zone in self._zones
            for label in labels
            if (zone.name, label) in self._visits
        )


class _ZoneWatch:
    """One track at one zone."""

    def __init__(self, zone: Zone, join_gap_s: float) -> None:
        self.zone = zone
        self.visits: list[Span] = []
        self._join_gap_s = join_gap_s
        self._last: tuple[float, Point, bool] | None = None

    def add(self, time_s: float, at: Point) -> None:
        is_inside = self.zone.contains(at)
        if self._last is None:
            if is_inside:
                self.visits.append(Span(time_s, time_s))
        else:
            before_s, before, was_inside = self._last
            if is_inside:
                entered_s = before_s if was_inside else before_s + (time_s - before_s) * self._edge(before, at)
                self._extend(entered_s, time_s)
            elif was_inside:
                self._extend(before_s, before_s + (time_s - before_s) * self._edge(before, at))
        self._last = (time_s, at, is_inside)

    def _extend(self, start_s: float, end_s: float) -> None:
        if self.visits and start_s - self.visits[-1].end_s < self._join_gap_s:
            self.visits[-1] = Span(self.visits[-1].start_s, end_s)
        else:
            self.visits.append(Span(start_s, end_s))

    def _edge(self, before: Point, after: Point) -> float:
        """The shares (0..1) of the straight path at which it passes between inside and outside."""
        was_inside = self.zone.contains(before)
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if self.zone.contains(before.towards(after, middle)) is was_inside:
                low = middle
            else:
                high = middle
        return high


def _zone_use(zone: str, label: str, visits: Sequence[Sequence[Span]]) -> ZoneUse:
    dwells = [sum(visit.length_s for visit in of_track) for of_track in visits]
    spans = sorted(chain.from_iterable(visits), key=lambda span: (span.start_s, span.end_s))
    # a track that enters at the moment another one leaves counts as inside together with it
    changes = sorted(chain.from_iterable(((span.start_s, 0), (span.end_s, 1)) for span in spans))
    inside, peak, peak_at_s = 0, 0, 0.0
    for time_s, is_leaving in changes:
        inside += -1 if is_leaving else 1
        if inside > peak:
            peak, peak_at_s = inside, time_s
    occupied: list[Span] = []
    for span in spans:
        if occupied and span.start_s <= occupied[-1].end_s:
            occupied[-1] = Span(occupied[-1].start_s, max(occupied[-1].end_s, span.end_s))
        else:
            occupied.append(span)
    return ZoneUse(
        zone=zone,
        label=label,
        tracks=len(visits),
        peak=peak,
        peak_at_s=peak_at_s,
        occupied=tuple(occupied),
        dwell_total_s=sum(dwells),
        dwell_mean_s=sum(dwells) / len(dwells),
        dwell_max_s=max(dwells),
    )
