"""What a benchmark found: rows of a table, and the same as JSON. Every figure is a ratio to a peer in the same run."""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

DOCS = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
_REASON = re.compile(r"^- `([a-z0-9-]+)`: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Timed:
    """One run: ``units`` of work in ``wall_s`` seconds, for which all threads together spent ``cpu_s``."""

    units: float
    wall_s: float
    cpu_s: float | None = None

    @property
    def rate(self) -> float:
        return self.units / self.wall_s


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    ``ratio`` is ours to the peer's, the median of the rounds, of which ``lowest`` and ``highest`` are the extremes;
    ``cpu_ratio`` is the same for work by second of processor time, which other programs on the machine disturb less.
    ``best`` is that of the best run of each. ``target`` is what ``ratio`` should reach, or stay within if ``is_limit``;
    with ``by_cpu``, for contestants that both keep all cores busy, what ``cpu_ratio`` should reach.
    """

    key: str
    what: str
    unit: str
    ours: float
    peer: float
    ratio: float
    lowest: float
    highest: float
    target: float | None
    cpu_ratio: float | None = None
    best: float | None = None
    by_cpu: bool = False
    is_limit: bool = False
    detail: dict[str, object] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        if self.target is None:
            return None
        if self.is_limit:
            return self.ratio <= self.target
        return (self.cpu_ratio if self.by_cpu and self.cpu_ratio is not None else self.ratio) >= self.target

    @classmethod
    def of_limit(
        cls,
        key: str,
        what: str,
        unit: str,
        ours: float,
        other: float,
        target: float,
        detail: Mapping[str, object] | None = None,
    ) -> "Row":
        """One measurement that is to stay within ``target`` times ``other``."""
        ratio = ours / other
        return cls(key, what, unit, ours, other, ratio, ratio, ratio, target, is_limit=True, detail={**(detail or {})})

    @classmethod
    def of_rounds(
        cls,
        key: str,
        what: str,
        unit: str,
        rounds: Sequence[tuple[Timed, Timed]],
        target: float | None,
        *,
        times: float = 1.0,
        by_cpu: bool = False,
        detail: Mapping[str, object] | None = None,
    ) -> "Row":
        """From pairs of (ours, peer), run one after the other; ``times`` scales the ratio, for peers of other size."""
        ratios = [times * ours.rate / peer.rate for ours, peer in rounds]
        cpu_ratios = [
            times * (ours.units / ours.cpu_s) / (peer.units / peer.cpu_s)
            for ours, peer in rounds
            if ours.cpu_s and peer.cpu_s
        ]
        return cls(
            key=key,
            what=what,
            unit=unit,
            ours=median(ours.rate for ours, _ in rounds),
            peer=median(peer.rate for _, peer in rounds),
            ratio=median(ratios),
            lowest=min(ratios),
            highest=max(ratios),
            target=target,
            cpu_ratio=median(cpu_ratios) if cpu_ratios else None,
            best=times * max(ours.rate for ours, _ in rounds) / max(peer.rate for _, peer in rounds),
            by_cpu=by_cpu,
            detail={**(detail or {}), "rounds": [(asdict(ours), asdict(peer)) for ours, peer in rounds]},
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A benchmark that could not be run here, and why."""

    key: str
    reason: str


def reasons(docs: Path = DOCS) -> dict[str, str]:
    """Why a target is missed, as the documentation says: lines such as ``- `key`: because …``."""
    return dict(_REASON.findall(docs.read_text("utf-8"))) if docs.is_file() else {}


def show(rows: Sequence[Row | Skipped], title: str, console: Console, why: dict[str, str]) -> None:
    table = Table(title=title, title_justify="left")
    for heading in ("what", "unit", "ours", "peer", "ratio", "rounds", "best", "by CPU", "target", ""):
        table.add_column(heading, justify="left" if heading in {"what", "unit", ""} else "right")
    for row in rows:
        if isinstance(row, Skipped):
            table.add_row(row.key, *[""] * 8, "SKIPPED")
        else:
            table.add_row(*_cells(row))
    console.print(table)
    for row in rows:
        if isinstance(row, Skipped):
            console.print(f"{row.key} SKIPPED: {row.reason}", soft_wrap=True)
        elif row.is_met is False:
            console.print(f"{row.key} MISSED: {why.get(row.key, 'no reason is known yet')}", soft_wrap=True)


def write(rows: Sequence[Row | Skipped], name: str, folder: Path, load: tuple[float, float]) -> Path:
    """Write ``<name>.json``; ``load`` is the machine's load average before and after."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    found = {
        "name": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_average": {"before": load[0], "after": load[1]},
        "rows": [{**asdict(row), "is_met": row.is_met} for row in rows if isinstance(row, Row)],
        "skipped": [asdict(row) for row in rows if isinstance(row, Skipped)],
    }
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return path


def machine() -> dict[str, object]:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.is_file() else []
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _cells(row: Row) -> tuple[str, ...]:
    sign = "≤" if row.is_limit else "≥"
    return (
        row.what,
        row.unit,
        f"{row.ours:,.3g}" if row.ours < 1000 else f"{row.ours:,.0f}",
        f"{row.peer:,.3g}" if row.peer < 1000 else f"{row.peer:,.0f}",
        f"{row.ratio:.2f}",
        f"{row.lowest:.2f}–{row.highest:.2f}",
        "" if row.best is None else f"{row.best:.2f}",
        "" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}",
        "" if row.target is None else f"{sign} {row.target:g}",
        {True: "met", False: "MISSED", None: ""}[row.is_met],
    )
