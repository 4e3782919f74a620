"""The benchmarks' tables and files, from made-up figures. How fast anything is, no test asks."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.latency import percentile, percentile_row
from benchmarks.report import Row, Skipped, Timed, reasons, show, write
from benchmarks.rounds import in_turn

ROUNDS = [(Timed(100, 1.0, 2.0), Timed(100, 4.0, 4.0)), (Timed(100, 2.0, 2.0), Timed(100, 4.0, 6.0))]


def row(target: float | None = 2.5, key: str = "whole") -> Row:
    return Row.of_rounds(key, "everything", "frames/s", ROUNDS, target, detail={"clip": "a.mp4"})


def limit(ratio: float) -> Row:
    return Row("memory", "resident", "MB", 700 * ratio, 700, ratio, ratio, ratio, 1.0, is_limit=True)


def shown(*rows: Row | Skipped, why: dict[str, str] | None = None) -> str:
    out = io.StringIO()
    show(rows, "Title", Console(file=out, width=160), why or {})
    return out.getvalue()


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    found = row()
    assert (found.lowest, found.ratio, found.highest) == (2.0, 3.0, 4.0)
    assert found.cpu_ratio == pytest.approx(2.5)
    assert (found.ours, found.peer, found.best) == (75.0, 25.0, 4.0)


@pytest.mark.parametrize(
    ("found", "is_met"),
    [(row(3.0), True), (row(3.1), False), (row(None), None), (limit(0.9), True), (limit(1.1), False)],
)
def test_a_target_is_reached_or_stayed_within(found: Row, is_met: bool | None) -> None:
    assert found.is_met is is_met


def test_work_that_keeps_all_cores_busy_is_judged_by_processor_time() -> None:
    assert Row.of_rounds("w", "everything", "frames/s", ROUNDS, 2.6, by_cpu=True).is_met is False
    assert Row.of_rounds("w", "everything", "frames/s", ROUNDS, 2.4, by_cpu=True).is_met is True


def test_a_ratio_to_a_peer_of_another_size_is_scaled() -> None:
    assert Row.of_rounds("w", "4 workers", "segments/s", ROUNDS, 0.9, times=0.25).ratio == 0.75


def test_the_table_says_what_was_met_missed_and_skipped_and_why() -> None:
    text = shown(row(), row(9.0, "slow"), Skipped("gone", "not installed"), why={"slow": "decoding takes as long"})
    assert "met" in text
    assert "slow MISSED: decoding takes as long" in text
    assert "gone SKIPPED: not installed" in text


def test_reasons_come_from_the_documentation(tmp_path: Path) -> None:
    docs = tmp_path / "performance.md"
    assert reasons(docs) == {}
    docs.write_text("# Speed\n\n- `whole-1080p`: decoding shares the cores.\n- another list\n")
    assert reasons(docs) == {"whole-1080p": "decoding shares the cores."}


def test_the_file_holds_every_round_and_the_load(tmp_path: Path) -> None:
    path = write([row(), Skipped("gone", "not installed")], "whole", tmp_path / "new", (0.5, 1.5))
    found = json.loads(path.read_text())
    assert found["load_average"] == {"before": 0.5, "after": 1.5}
    assert found["machine"]["cores"] >= 1
    assert found["rows"][0]["is_met"] is True
    assert len(found["rows"][0]["detail"]["rounds"]) == len(ROUNDS)
    assert found["skipped"] == [{"key": "gone", "reason": "not installed"}]


def test_contestants_take_turns_in_alternating_order() -> None:
    order: list[str] = []

    def contestant(name: str) -> Timed:
        order.append(name)
        return Timed(1, 1.0)

    found = in_turn({"a": lambda: contestant("a"), "b": lambda: contestant("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert {name: len(runs) for name, runs in found.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize(("share", "expected_ms"), [(0.5, 500.0), (0.95, 950.0), (1.0, 1000.0), (0.001, 10.0)])
def test_a_percentile_is_the_shortest_time_that_so_many_do_not_exceed(share: float, expected_ms: float) -> None:
    assert percentile([number / 100 for number in range(100, 0, -1)], share) == pytest.approx(expected_ms)


def test_a_row_of_percentiles_compares_round_by_round() -> None:
    rounds = [([0.1, 0.2], [0.1, 0.1]), ([0.3, 0.6], [0.1, 0.2]), ([0.4, 0.4], [0.1, 0.1])]
    found = percentile_row("accept", "upload", rounds, 0.95)
    assert (found.what, found.unit) == ("upload, p95", "ms")
    assert (found.lowest, found.ratio, found.highest) == pytest.approx((2.0, 3.0, 4.0))
    assert (found.ours, found.peer) == pytest.approx((400.0, 100.0))
