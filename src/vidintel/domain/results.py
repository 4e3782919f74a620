"""The results of a job, by kind. `vidintel.domain.analytics` defines what each count means.

Times are seconds on the player's timeline. To add a kind of result, add a field to `JobResults` with its own type; the
database needs no change. A field that is added to an existing kind needs a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vidintel.domain.analytics import LineCount, MinimumTrack, Peak, Span, ZoneUse
from vidintel.domain.video import WarningSummary

METRICS = ("detections", "frames", "peak_concurrent", "unique_tracks", "line_crossings", "zones")
"""The counts that a summary holds."""


@dataclass(frozen=True, slots=True)
class LabelResult:
    """What was seen of one label. ``unique_tracks`` counts the tracks that are long enough (`MinimumTrack`)."""

    unique_tracks: int
    detections: int
    frames: int
    peak_concurrent: Peak
    first_seen_s: float
    last_seen_s: float


@dataclass(frozen=True, slots=True)
class JobSummary:
    """Counts over the whole video.

    ``frames_reused`` of the ``frames_analysed`` took over the detections of an earlier, similar frame. ``busiest`` is
    over all labels together, and ``None`` when nothing was seen.
    """

    frames_analysed: int
    frames_reused: int
    detections: int
    unique_tracks: int
    busiest: Peak | None
    labels: Mapping[str, LabelResult]
    line_crossings: tuple[LineCount, ...]
    zones: tuple[ZoneUse, ...]
    minimum_track: MinimumTrack
    warnings: tuple[WarningSummary, ...]
    metrics: tuple[str, ...] = METRICS


@dataclass(frozen=True, slots=True)
class JobTimeline:
    """The intervals in which each label was in sight, gaps up to ``join_gap_s`` joined, and the starts of shots."""

    join_gap_s: float
    labels: Mapping[str, tuple[Span, ...]]
    shot_changes: tuple[float, ...]
    shot_change_method: str


@dataclass(frozen=True, slots=True)
class JobSnapshots:
    """The stored snapshots: the moments of the poster and the preview, and the tracks that have a best shot."""

    poster_s: float | None
    preview_s: tuple[float, ...]
    shots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobResults:
    """The results of one job. A kind that the job has not stored (yet) is ``None``."""

    summary: JobSummary | None = None
    timeline: JobTimeline | None = None
    snapshots: JobSnapshots | None = None
