"""The summary's counts mean what their names say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidintel.domain.analytics import (
    CrossingsFold,
    IntervalsFold,
    LineCount,
    MinimumTrack,
    Peak,
    Span,
    SummaryFold,
    ZonesFold,
    ZoneUse,
    unique_tracks,
)
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.errors import ValidationError
from vidintel.domain.geometry import Line, Point, Zone
from vidintel.domain.tracking import Track, TrackBuilder, TrackPoint

BOX = BoundingBox(0.1, 0.1, 0.2, 0.2)
ANY = MinimumTrack(seconds=0.0, points=1)
GATE = Line("gate", Point(0.5, 0.8), Point(0.5, 0.2))
LEFT_HALF = Zone("left", (Point(0, 0), Point(0.5, 0), Point(0.5, 1), Point(0, 1)))
SIZE = 0.1

Way = list[tuple[float, float]]
"""Places of a track's centre."""


def frame(index: int, time_s: float, *labels: str) -> FrameDetections:
    return FrameDetections(index, time_s, tuple(Detection(label, 0.9, BOX) for label in labels))


def test_counts_peaks_and_times_per_label() -> None:
    fold = SummaryFold()
    for seen in (frame(0, 0.0, "car"), frame(5, 0.2, "car", "car", "person"), frame(20, 0.8, "car", "car")):
        fold.add(seen)

    summary = fold.result(frames_analysed=7)

    assert (summary.frames_analysed, summary.detections) == (7, 6)
    assert summary.busiest == Peak(3, 0.2, 5)
    car = summary.labels["car"]
    assert (car.detections, car.frames, car.first_seen_s, car.last_seen_s) == (5, 3, 0.0, 0.8)
    assert car.peak_concurrent == Peak(2, 0.2, 5)
    assert summary.labels["person"].peak_concurrent == Peak(1, 0.2, 5)


def test_nothing_seen_is_an_answer_too() -> None:
    summary = SummaryFold().result(frames_analysed=3)

    assert (summary.frames_analysed, summary.detections, summary.busiest, summary.labels) == (3, 0, None, {})


def points_along(way: Way, *, start_s: float = 0.0, interval_s: float = 0.2, label: str = "car") -> list[TrackPoint]:
    half = SIZE / 2
    return [
        TrackPoint(n, start_s + n * interval_s, BoundingBox(x - half, y - half, x + half, y + half), 0.9, label)
        for n, (x, y) in enumerate(way)
    ]


def track_of(track_id: int, points: list[TrackPoint]) -> Track:
    builder = TrackBuilder(track_id, points[0])
    for point in points[1:]:
        builder.add(point)
    return builder.build()


def crossings(*ways: list[TrackPoint], minimum: MinimumTrack = ANY) -> tuple[LineCount, ...]:
    fold = CrossingsFold([GATE], minimum)
    for track_id, points in enumerate(ways, start=1):
        for point in points:
            fold.add(track_id, point)
        fold.finish(track_of(track_id, points))
    return fold.result()


def zone_use(*ways: list[TrackPoint], minimum: MinimumTrack = ANY) -> tuple[ZoneUse, ...]:
    fold = ZonesFold([LEFT_HALF], minimum, join_gap_s=0.5)
    for track_id, points in enumerate(ways, start=1):
        for point in points:
            fold.add(track_id, point)
        fold.finish(track_of(track_id, points))
    return fold.result()


# --- intervals --------------------------------------------------------------------------------------------------------


def test_intervals_join_short_gaps_only() -> None:
    fold = IntervalsFold(join_gap_s=1.0)
    for index, (time_s, labels) in enumerate([(0.0, "c"), (1.0, "cp"), (2.5, "c"), (3.0, "c"), (9.0, "p")]):
        fold.add(frame(index, time_s, *labels))

    assert fold.result() == {
        "c": (Span(0.0, 1.0), Span(2.5, 3.0)),
        "p": (Span(1.0, 1.0), Span(9.0, 9.0)),
    }


def test_a_gap_of_exactly_the_longest_is_joined_wherever_it_lies() -> None:
    fold = IntervalsFold(join_gap_s=1.0)
    for index, time_s in enumerate([2.2, 3.2, 3.4, 4.4, 6.0]):  # 4.4 - 3.4 is more than 1 in floating point
        fold.add(frame(index, time_s, "c"))

    assert fold.result() == {"c": (Span(2.2, 4.4), Span(6.0, 6.0))}


# --- unique tracks ----------------------------------------------------------------------------------------------------


def test_unique_tracks_are_those_long_enough() -> None:
    long, short = points_along([(0.2, 0.5)] * 3), points_along([(0.2, 0.5)] * 2)
    person = points_along([(0.2, 0.5)] * 9, label="person")
    tracks = [track_of(n, points) for n, points in enumerate((long, short, person, long), start=1)]

    assert unique_tracks(tracks, MinimumTrack(seconds=0.4, points=2)) == {"car": 2, "person": 1}
    assert unique_tracks(tracks, MinimumTrack(seconds=0.0, points=4)) == {"person": 1}


@pytest.mark.parametrize(("seconds", "points"), [(-1.0, 2), (0.4, 0), (float("nan"), 2)])
def test_a_minimum_that_means_nothing_is_refused(seconds: float, points: int) -> None:
    with pytest.raises(ValidationError):
        MinimumTrack(seconds, points)


# --- line crossings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "forward", "backward"),
    [
        ([(0.2, 0.5), (0.8, 0.5)], 1, 0),
        ([(0.8, 0.5), (0.2, 0.5)], 0, 1),
        ([(0.2, 0.5), (0.5, 0.5), (0.8, 0.5)], 1, 0),
        ([(0.2, 0.5), (0.8, 0.5), (0.2, 0.5)], 1, 1),
        ([(0.2, 0.5), (0.505, 0.5), (0.495, 0.5), (0.505, 0.5), (0.8, 0.5)], 1, 0),
        ([(0.2, 0.5), (0.505, 0.5), (0.495, 0.5), (0.2, 0.5)], 0, 0),
        ([(0.505, 0.5), (0.495, 0.5), (0.505, 0.5)], 0, 0),
        ([(0.2, 0.1), (0.8, 0.1)], 0, 0),
        ([(0.2, 0.5), (0.2, 0.1), (0.8, 0.1), (0.8, 0.5)], 0, 0),
        ([(0.2, 0.5), (0.8, 0.5), (0.8, 0.1), (0.2, 0.1), (0.2, 0.5), (0.8, 0.5)], 2, 0),
        ([(0.2, 0.5)], 0, 0),
    ],
    ids=[
        "between two points", "back", "halting on it", "there and back", "trembling on it", "touching it",
        "never certain", "past its end", "around its end", "round and round", "one point",
    ],
)  # fmt: skip
def test_a_crossing_counts_once_in_its_direction(way: Way, forward: int, backward: int) -> None:
    expected = (LineCount("gate", "car", forward, backward),) if forward or backward else ()

    assert crossings(points_along(way)) == expected


def test_crossings_are_kept_apart_by_label_and_only_tracks_that_count_do() -> None:
    there = [(0.2, 0.5), (0.8, 0.5)]
    back = there[::-1]
    ways = [points_along(there), points_along(there), points_along(back, label="person")]

    assert crossings(*ways) == (LineCount("gate", "car", 2, 0), LineCount("gate", "person", 0, 1))
    assert crossings(*ways, minimum=MinimumTrack(seconds=1.0)) == ()


@given(st.lists(st.tuples(st.integers(10, 90), st.integers(30, 70)), min_size=1, max_size=30))
def test_crossings_alternate_on_a_line_that_cannot_be_walked_around(places: list[tuple[int, int]]) -> None:
    way = [(x / 100, y / 100) for x, y in places]
    counts = crossings(points_along(way))

    assert all(abs(count.forward - count.backward) <= 1 for count in counts)


@given(st.lists(st.tuples(st.integers(10, 90), st.integers(10, 90)), min_size=2, max_size=20))
def test_the_way_back_swaps_the_directions(places: list[tuple[int, int]]) -> None:
    # off the line and its ends, where a touch has a side of its own
    way = [(x / 100 + 0.003, y / 100 + 0.0017) for x, y in places]
    there, back = crossings(points_along(way)), crossings(points_along(way[::-1]))

    assert [(count.forward, count.backward) for count in there] == [(count.backward, count.forward) for count in back]


# --- zones ------------------------------------------------------------------------------------------------------------


def test_a_visit_begins_and_ends_where_the_way_meets_the_edge() -> None:
    (use,) = zone_use(points_along([(0.7, 0.5), (0.3, 0.5), (0.3, 0.5), (0.7, 0.5)], interval_s=1.0))

    assert (use.zone, use.label, use.tracks, use.peak) == ("left", "car", 1, 1)
    assert use.dwell_total_s == pytest.approx(2.0, abs=1e-4)
    assert use.occupied[0].start_s == pytest.approx(0.5, abs=1e-4)
    assert use.occupied[0].end_s == pytest.approx(2.5, abs=1e-4)


def test_trembling_at_the_edge_is_one_visit() -> None:
    way = [(0.3, 0.5), (0.49, 0.5), (0.51, 0.5), (0.49, 0.5), (0.3, 0.5)]

    (use,) = zone_use(points_along(way))

    assert len(use.occupied) == 1
    assert use.dwell_total_s == pytest.approx(0.8)


def test_occupancy_peaks_where_visits_meet_and_dwell_is_per_track() -> None:
    stay = [(0.2, 0.5)] * 6
    ways = [points_along(stay), points_along(stay, start_s=0.6), points_along(stay, start_s=5.0)]

    (use,) = zone_use(*ways)

    assert (use.tracks, use.peak) == (3, 2)
    assert use.peak_at_s == pytest.approx(0.6)
    assert [(round(span.start_s, 3), round(span.end_s, 3)) for span in use.occupied] == [(0.0, 1.6), (5.0, 6.0)]
    assert use.dwell_total_s == pytest.approx(3.0)
    assert use.dwell_mean_s == use.dwell_max_s == pytest.approx(1.0)


def test_zones_that_nothing_entered_are_left_out_as_are_short_tracks() -> None:
    assert zone_use(points_along([(0.8, 0.5)] * 4)) == ()
    assert zone_use(points_along([(0.2, 0.5)] * 2), minimum=MinimumTrack(seconds=1.0)) == ()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_time_in_a_zone_and_in_the_rest_make_the_whole(places: list[int]) -> None:
    rest = Zone("right", (Point(0.5, 0), Point(1, 0), Point(1, 1), Point(0.5, 1)))
    points = points_along([(x / 10 + 0.01, 0.5) for x in places], interval_s=1.0)
    fold = ZonesFold([LEFT_HALF, rest], ANY, join_gap_s=0.0)
    for point in points:
        fold.add(1, point)
    fold.finish(track_of(1, points))

    assert sum(use.dwell_total_s for use in fold.result()) == pytest.approx(points[-1].time_s, abs=1e-3)
