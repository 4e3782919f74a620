"""``vidintel analyze FILE``: the same decoder, model and summary as in the service, without server or database."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vidintel.application.jobs.specs import SpecRequest, SpecResolver
from vidintel.application.ports import Detectors, MediaLimits, VideoDecoder
from vidintel.domain.analytics import Summary, SummaryFold
from vidintel.infrastructure.memory import return_free_memory


def analyze_file(
    path: Path,
    request: SpecRequest,
    *,
    specs: SpecResolver,
    decoder: VideoDecoder,
    detectors: Detectors,
    limits: MediaLimits,
    segment_s: float,
    console: Console,
) -> Summary:
    """What is seen in the file at ``path``, with a progress bar on ``console``. Raises `DomainError`s."""
    spec, model = specs.resolve(request)
    detector = detectors.get(model.name)
    fold = SummaryFold()
    frames_done = 0
    with path.open("rb") as content:
        plan = decoder.plan(content, segment_s=segment_s, sample_fps=spec.sample_fps, limits=limits)
    columns = (TextColumn("analysing"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("frames", total=sum(span.sample_count for span in plan.segments))
        for span in plan.segments:
            with path.open("rb") as content:
                frames = decoder.frames(content, span, sample_fps=spec.sample_fps)
                for seen in detector.detect(
                    frames, min_confidence=spec.min_confidence, iou_threshold=spec.iou_threshold, labels=spec.labels
                ):
                    fold.add(seen)
                    frames_done += 1
                    progress.advance(task)
            return_free_memory()
    return fold.result(frames_done)


def render_summary(summary: Summary, *, title: str) -> Table:
    table = Table(title=title)
    for column in ("label", "peak at once", "first seen", "last seen", "detections"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label, seen in summary.labels.items():
        table.add_row(
            label,
            f"{seen.peak_concurrent.count} at {seen.peak_concurrent.time_s:.1f} s",
            f"{seen.first_seen_s:.1f} s",
            f"{seen.last_seen_s:.1f} s",
            str(seen.detections),
        )
    return table


def summary_json(summary: Summary) -> str:
    return json.dumps(asdict(summary), indent=2)
