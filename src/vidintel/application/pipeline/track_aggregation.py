"""Track aggregation: from the detections of a video to its tracks, counts and intervals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

from vidintel.application.ports import Tracker
from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.analytics import (
    CrossingsFold,
    IntervalsFold,
    MinimumTrack,
    Peak,
    SummaryFold,
    ZonesFold,
    unique_tracks,
)
from vidintel.domain.detection import FrameDetections
from vidintel.domain.results import JobSummary, JobTimeline, LabelResult
from vidintel.domain.shots import METHOD
from vidintel.domain.tracking import LiveTracks, Track, TrackedFrame, points_of
from vidintel.domain.video import WarningSummary

LONGEST_TRACKS = 200
_JOIN_GAP_S, _JOIN_GAP_FRAMES = 1.0, 2.5


@dataclass(frozen=True, slots=True)
class AggregatedTracks:
    """Frames whose tracks are decided, and tracks that are complete."""

    frames: Sequence[TrackedFrame]
    tracks: Sequence[Track]


class TrackAggregation:
    """Tracks and counts the objects of one video. CPU work only; memory does not grow with the length of the video.

    Give it all frames in presentation order, then `close` it. The frames include detections below
    ``spec.min_confidence``, which help the tracker. ``detections``, ``frames``, ``peak_concurrent`` and the intervals
    leave these out, and tracks that never reached that confidence are dropped. ``frame_interval_s`` is the usual time
    between frames.
    """

    def __init__(self, spec: AnalysisSpec, tracker: Tracker, frame_interval_s: float) -> None:
        self._min_confidence = spec.min_confidence
        self._tracker = tracker
        self._minimum = MinimumTrack()
        self._live = LiveTracks(tracker.memory_s)
        self._shown: set[int] = set()
        self._summary = SummaryFold()
        self._join_gap_s = max(_JOIN_GAP_S, _JOIN_GAP_FRAMES * frame_interval_s)
        self._intervals = IntervalsFold(self._join_gap_s)
        self._crossings = CrossingsFold(spec.lines, self._minimum)
        self._zones = ZonesFold(spec.zones, self._minimum)
        self._unique: Counter[str] = Counter()
        self._longest: list[Track] = []

    def add(self, frames: Sequence[FrameDetections]) -> AggregatedTracks:
        decided: list[TrackedFrame] = []
        for frame in frames:
            shown = frame.at_least(self._min_confidence)
            self._summary.add(shown)
            self._intervals.add(shown)
            decided += self._tracker.update(frame)
        return AggregatedTracks(decided, self._taken(decided))

    def close(self) -> AggregatedTracks:
        decided = self._tracker.finish()
        tracks = self._taken(decided)
        return AggregatedTracks(decided, [*tracks, *self._counted(self._live.close())])

    @property
    def busiest(self) -> Peak | None:
        """The first moment with the most objects in one frame; ``None`` without any detections."""
        return self._summary.result(0).busiest

    @property
    def longest(self) -> Sequence[Track]:
        """The longest complete tracks, `LONGEST_TRACKS` at most."""
        return self._longest

    def summary(self, frames_analysed: int, frames_reused: int, warnings: Sequence[WarningSummary]) -> JobSummary:
        """The counts. Call it after `close`; the arguments come from the segments."""
        seen = self._summary.result(frames_analysed)
        return JobSummary(
            frames_analysed=seen.frames_analysed,
            frames_reused=frames_reused,
            detections=seen.detections,
            unique_tracks=self._unique.total(),
            busiest=seen.busiest,
            labels={
                label: LabelResult(
                    unique_tracks=self._unique[label],
                    detections=of_label.detections,
                    frames=of_label.frames,
                    peak_concurrent=of_label.peak_concurrent,
                    first_seen_s=of_label.first_seen_s,
                    last_seen_s=of_label.last_seen_s,
                )
                for label, of_label in seen.labels.items()
            },
            line_crossings=self._crossings.result(),
            zones=self._zones.result(),
            minimum_track=self._minimum,
            warnings=tuple(warnings),
        )

    def timeline(self, shot_changes: Sequence[float]) -> JobTimeline:
        """When each label was in sight, and where shots begin. Call it after `close`."""
        return JobTimeline(
            join_gap_s=self._join_gap_s,
            labels=self._intervals.result(),
            shot_changes=tuple(shot_changes),
            shot_change_method=METHOD,
        )

    def _taken(self, decided: Sequence[TrackedFrame]) -> list[Track]:
        complete = []
        for tracked in decided:
            for track_id, point in points_of(tracked):
                self._crossings.add(track_id, point)
                self._zones.add(track_id, point)
                if point.confidence >= self._min_confidence:
                    self._shown.add(track_id)
            complete += self._counted(self._live.add(tracked))
        return complete

    def _counted(self, tracks: Sequence[Track]) -> list[Track]:
        """Count those of ``tracks`` that reached ``min_confidence``, and return them."""
        shown = []
        for track in tracks:
            if track.track_id not in self._shown:
                self._crossings.discard(track.track_id)
                self._zones.discard(track.track_id)
                continue
            self._shown.remove(track.track_id)
            self._crossings.finish(track)
            self._zones.finish(track)
            shown.append(track)
        self._unique.update(unique_tracks(shown, self._minimum))
        if shown:
            candidates = [*self._longest, *shown]
            self._longest = nlargest(LONGEST_TRACKS, candidates, key=lambda track: (track.duration_s, -track.track_id))
        return shown
