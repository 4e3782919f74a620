"""What `make demo` makes of the API's answers: a table for the terminal and a plot of objects over time."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.table import Table

# Okabe and Ito's palette: told apart with every common kind of colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MOST_BINS = 400


@dataclass(frozen=True, slots=True)
class Timeline:
    """How many objects of each label there were at once, at most, in each bin of ``step_s`` seconds from 0 on.

    ``counts`` has the labels with the most detections first, and an entry for every bin; ``left_out`` are labels
    that did not fit into the plot.
    """

    step_s: float
    counts: Mapping[str, Sequence[int]]
    left_out: Sequence[str] = ()


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str, str, str]]:
    """Label, distinct objects, peak at once, first and last seen, detections; the label seen most comes first."""
    labels = sorted(summary["labels"].items(), key=lambda item: (-item[1]["detections"], item[0]))
    return [
        (
            label,
            str(seen["unique_tracks"]),
            f"{seen['peak_concurrent']['count']} at {seen['peak_concurrent']['time_s']:.1f} s",
            f"{seen['first_seen_s']:.1f} s",
            f"{seen['last_seen_s']:.1f} s",
            str(seen["detections"]),
        )
        for label, seen in labels
    ]


def summary_table(summary: Mapping[str, Any], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("label")
    for column in ("objects", "peak at once", "first seen", "last seen", "detections"):
        table.add_column(column, justify="right")
    for row in summary_rows(summary):
        table.add_row(*row)
    return table


def timeline_of(detections: Iterable[Mapping[str, Any]], *, duration_s: float, sample_fps: float) -> Timeline:
    """The timeline of a video, from its detections as the API gives them.

    ``sample_fps`` is how many frames were analysed per second of video: those nearest to ``k / sample_fps`` seconds.
    A bin holds a whole number of them, so that none is empty only because of how frames and bins happen to meet.
    """
    samples = max(1, math.ceil(duration_s * sample_fps))
    per_bin = math.ceil(samples / _MOST_BINS)
    bins = math.ceil(samples / per_bin)
    in_frame: Counter[tuple[str, int]] = Counter()
    bin_of_frame: dict[int, int] = {}
    totals: Counter[str] = Counter()
    for detection in detections:
        label, frame = detection["label"], detection["frame"]
        in_frame[label, frame] += 1
        bin_of_frame[frame] = min(bins - 1, round(detection["time_s"] * sample_fps) // per_bin)
        totals[label] += 1
    peaks: dict[str, list[int]] = defaultdict(lambda: [0] * bins)
    for (label, frame), count in in_frame.items():
        peaks[label][bin_of_frame[frame]] = max(peaks[label][bin_of_frame[frame]], count)
    ranked = sorted(totals, key=lambda label: (-totals[label], label))
    shown, left_out = ranked[: len(_COLOURS)], ranked[len(_COLOURS) :]
    return Timeline(per_bin / sample_fps, {label: peaks[label] for label in shown}, tuple(left_out))


def plot_timeline(timeline: Timeline, title: str, path: Path) -> None:
    """Draw the timeline as PNG, 1600 × 700 pixels: a row for each label, so that none hides another."""
    figure = Figure(figsize=(10, 4.375), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(max(1, len(timeline.counts)), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (label, counts), colour in zip(rows, timeline.counts.items(), _COLOURS, strict=False):
        edges = [index * timeline.step_s for index in range(len(counts) + 1)]
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(counts, edges, color=colour, linewidth=1.2)
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=11)
        axes.set_ylim(0, max(counts) * 1.1)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
        axes.grid(visible=True, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if not timeline.counts:
        rows[0].text(0.5, 0.5, "nothing was seen", transform=rows[0].transAxes, ha="center", va="center")
    rows[0].set_title(f"{title}: objects at once", loc="left", fontsize=12)
    rows[-1].set_xlim(left=0)
    left_out = f"   (left out, as seen less: {', '.join(timeline.left_out)})" if timeline.left_out else ""
    rows[-1].set_xlabel(f"seconds of video{left_out}")
    figure.savefig(path)
