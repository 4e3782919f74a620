import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scripts.demo import progress_line
from scripts.demo_report import Timeline, plot_timeline, summary_rows, summary_table, timeline_of


def label_summary(detections: int, peak: int, at_s: float) -> dict[str, Any]:
    return {
        "detections": detections,
        "frames": detections,
        "unique_tracks": peak + 1,
        "peak_concurrent": {"count": peak, "time_s": at_s, "frame": round(at_s * 25)},
        "first_seen_s": 0.04,
        "last_seen_s": 19.96,
    }


def detection(label: str, frame: int, time_s: float) -> Mapping[str, Any]:
    return {"label": label, "frame": frame, "time_s": time_s}


def test_rows_name_the_label_seen_most_first() -> None:
    labels = {"car": label_summary(3, 1, 2.0), "bus": label_summary(3, 2, 4.52), "van": label_summary(9, 4, 1.0)}

    assert summary_rows({"labels": labels}) == [
        ("van", "5", "4 at 1.0 s", "0.0 s", "20.0 s", "9"),
        ("bus", "3", "2 at 4.5 s", "0.0 s", "20.0 s", "3"),
        ("car", "2", "1 at 2.0 s", "0.0 s", "20.0 s", "3"),
    ]


def test_the_table_shows_every_label() -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(summary_table({"labels": {"car": label_summary(3, 1, 2.0)}}, "traffic.mp4"))

    shown = captured.get()
    assert "traffic.mp4" in shown
    assert "car" in shown
    assert "1 at 2.0 s" in shown


def test_a_bin_tells_the_most_at_once_in_one_frame() -> None:
    seen = [
        detection("car", 0, 0.0),
        detection("car", 0, 0.0),
        detection("car", 10, 0.4),
        detection("person", 10, 0.4),
    ]

    timeline = timeline_of(seen, duration_s=1.0, sample_fps=5.0)

    assert timeline == Timeline(0.2, {"car": [2, 0, 1, 0, 0], "person": [0, 0, 1, 0, 0]})


@pytest.mark.parametrize("frame_rate", [25.0, 30.0, 30000 / 1001])
@pytest.mark.parametrize("sample_fps", [5.0, 7.0, 24.0])
def test_an_object_that_is_always_there_leaves_no_gap(frame_rate: float, sample_fps: float) -> None:
    nearest = [round(index / sample_fps * frame_rate) for index in range(int(10 * sample_fps))]
    seen = [detection("car", frame, round(frame / frame_rate, 6)) for frame in nearest]

    assert set(timeline_of(seen, duration_s=10.0, sample_fps=sample_fps).counts["car"]) == {1}


def test_a_long_video_gets_no_more_bins_than_can_be_drawn() -> None:
    seen = [detection("car", 1, 3599.99), detection("car", 2, 3600.5)]

    timeline = timeline_of(seen, duration_s=3600.0, sample_fps=5.0)

    assert len(timeline.counts["car"]) == 400
    assert timeline.counts["car"][-1] == 1
    assert timeline.step_s == pytest.approx(9.0)


def test_labels_beyond_the_palette_are_named_as_left_out() -> None:
    seen = [detection(f"label-{number}", frame, 0.0) for number in range(8) for frame in range(number + 1)]

    timeline = timeline_of(seen, duration_s=1.0, sample_fps=1.0)

    assert list(timeline.counts) == [f"label-{number}" for number in (7, 6, 5, 4, 3, 2)]
    assert timeline.left_out == ("label-1", "label-0")


@pytest.mark.parametrize(
    "timeline",
    [
        Timeline(0.2, {"car": [0, 1, 2, 1], "person": [3, 0, 0, 1]}),
        Timeline(0.2, {"car": [1, 1]}, ("bus", "dog")),
        Timeline(1.0, {}),
    ],
    ids=["two labels", "some left out", "nothing seen"],
)
def test_the_plot_is_a_picture_of_the_promised_size(timeline: Timeline, tmp_path: Path) -> None:
    plot_timeline(timeline, "traffic.mp4", tmp_path / "timeline.png")

    picture = (tmp_path / "timeline.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1600, 700)


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        ({"segments_total": 0}, "looking at the file"),
        (
            {
                "segments_total": 2,
                "segments_done": 0,
                "frames_total": 100,
                "frames_done": 0,
                "frames_per_second": None,
                "eta_s": None,
            },
            "segments 0/2 · frames 0/100",
        ),
        (
            {
                "segments_total": 2,
                "segments_done": 1,
                "frames_total": 100,
                "frames_done": 50,
                "frames_per_second": 24.6,
                "eta_s": 2.1,
            },
            "segments 1/2 · frames 50/100 · 25 frames/s · 2 s to go",
        ),
    ],
)
def test_progress_is_told_as_far_as_it_is_known(progress: dict[str, Any], line: str) -> None:
    assert progress_line(progress) == line
