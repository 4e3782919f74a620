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

# Okabe and Ito's palette: told apart with every common kind of colour vision. Line styles help in black and white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES = ("-", "--", "-.", ":", "-", "--")
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


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Label, peak at once, first and last seen, detections; the label seen most comes first."""
    labels = sorted(summary["labels"].items(), key=lambda item: (-item[1]["detections"], item[0]))
    return [
        (
            label,
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
    for column in ("peak at once", "first seen", "last seen", "detections"):
        table.add_column(column, justify="right")
    for row in summary_rows(summary):
        table.add_row(*row)
    return table


def timeline_of(detections: Iterable[Mapping[str, Any]], *, duration_s: float, sample_fps: float) -> Timeline:
    """The timeline of a video, from its detections as the API gives them.

    ``sample_fps`` is how many frames were analysed per second of video: no bin is shorter than the time between two.
    """
    step_s = max(1.0 / sample_fps, duration_s / _MOST_BINS)
    bins = max(1, math.ceil(duration_s / step_s))
    in_frame: Counter[tuple[str, int]] = Counter()
    bin_of_frame: dict[int, int] = {}
    totals: Counter[str] = Counter()
    for detection in detections:
        label, frame = detection["label"], detection["frame"]
        in_frame[label, frame] += 1
        # Half a microsecond: frames lie on the edges of bins, and their times are rounded.
        bin_of_frame[frame] = min(bins - 1, int((detection["time_s"] + 5e-7) / step_s))
        totals[label] += 1
    peaks: dict[str, list[int]] = defaultdict(lambda: [0] * bins)
    for (label, frame), count in in_frame.items():
        peaks[label][bin_of_frame[frame]] = max(peaks[label][bin_of_frame[frame]], count)
    ranked = sorted(totals, key=lambda label: (-totals[label], label))
    shown, left_out = ranked[: len(_COLOURS)], ranked[len(_COLOURS) :]
    return Timeline(step_s, {label: peaks[label] for label in shown}, tuple(left_out))


def plot_timeline(timeline: Timeline, title: str, path: Path) -> None:
    """Draw the timeline as PNG, 1600 × 700 pixels."""
    figure = Figure(figsize=(10, 4.375), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (label, counts), colour, style in zip(timeline.counts.items(), _COLOURS, _STYLES, strict=False):
        edges = [index * timeline.step_s for index in range(len(counts) + 1)]
        axes.stairs(counts, edges, label=label, color=colour, linestyle=style, linewidth=1.8, baseline=None)
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xlabel("seconds of video")
    axes.set_ylabel("objects at once")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if timeline.counts:
        legend_title = f"and {len(timeline.left_out)} more, not shown" if timeline.left_out else None
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, title=legend_title)
    else:
        axes.text(0.5, 0.5, "nothing was seen", transform=axes.transAxes, ha="center", va="center")
    figure.savefig(path)
