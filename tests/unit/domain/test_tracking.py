"""How the points of a track become one answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.tracking import (
    MAX_PATH_POINTS,
    PATH_TOLERANCE,
    LiveTracks,
    Track,
    TrackBuilder,
    TrackedFrame,
    TrackPoint,
)


def box(x: float, y: float, size: float = 0.1) -> BoundingBox:
    return BoundingBox(x - size / 2, y - size / 2, x + size / 2, y + size / 2)


def point(time_s: float, where: BoundingBox, confidence: float = 0.9, label: str = "car") -> TrackPoint:
    return TrackPoint(round(time_s * 25), time_s, where, confidence, label)


def built(points: list[TrackPoint]) -> Track:
    builder = TrackBuilder(1, points[0])
    for later in points[1:]:
        builder.add(later)
    return builder.build()


def seen(time_s: float, *track_ids: int | None) -> TrackedFrame:
    detections = tuple(Detection("car", 0.9, box(0.2 + place / 10, 0.5)) for place in range(len(track_ids)))
    return TrackedFrame(FrameDetections(round(time_s * 25), time_s, detections), track_ids)


def test_the_label_with_the_most_confidence_wins() -> None:
    track = built(
        [
            point(0.0, box(0.3, 0.5), 0.3, "truck"),
            point(0.2, box(0.3, 0.5), 0.8, "car"),
            point(0.4, box(0.3, 0.5), 0.3, "truck"),
        ]
    )

    assert track.label == "car"
    assert track.confidence == pytest.approx(0.8)
    assert (track.points, track.first_seen_s, track.last_seen_s, track.duration_s) == (3, 0.0, 0.4, 0.4)


def test_equal_votes_fall_to_the_first_name_whatever_the_order() -> None:
    one, other = point(0.0, box(0.3, 0.5), 0.5, "truck"), point(0.2, box(0.3, 0.5), 0.5, "car")

    assert built([one, other]).label == built([other, one]).label == "car"


def test_the_best_shot_is_large_sure_and_whole() -> None:
    cut = point(0.0, BoundingBox(0.0, 0.2, 0.6, 0.8), 0.99)
    small = point(0.2, box(0.5, 0.5, 0.1), 0.9)
    large = point(0.4, box(0.5, 0.5, 0.3), 0.8)
    doubtful = point(0.6, box(0.5, 0.5, 0.31), 0.4)

    best = built([cut, small, large, doubtful]).best_shot

    assert (best.time_s, best.frame, best.box) == (0.4, 10, large.box)


def test_an_object_never_whole_still_has_a_best_shot() -> None:
    cut = point(0.0, BoundingBox(0.0, 0.2, 0.6, 0.8))

    assert built([cut]).best_shot.box == cut.box


def test_a_straight_even_way_keeps_its_ends_only() -> None:
    track = built([point(n / 5, box(0.1 + n / 100, 0.5)) for n in range(60)])

    assert [one.time_s for one in track.path] == [0.0, 59 / 5]
    assert track.path[-1].at.x == pytest.approx(0.69)


def test_a_stop_on_the_way_stays_in_the_path() -> None:
    way = [0.1 + n / 50 for n in range(10)] + [0.28] * 10 + [0.28 + n / 50 for n in range(10)]
    track = built([point(n / 5, box(x, 0.5)) for n, x in enumerate(way)])

    assert 4 <= len(track.path) <= 6


@given(st.lists(st.tuples(st.integers(10, 90), st.integers(10, 90)), min_size=2, max_size=80))
def test_the_path_strays_no_further_than_it_may(places: list[tuple[int, int]]) -> None:
    points = [point(n / 5, box(x / 100, y / 100)) for n, (x, y) in enumerate(places)]
    path = built(points).path

    for one in points:
        before = max((kept for kept in path if kept.time_s <= one.time_s), key=lambda kept: kept.time_s)
        after = min((kept for kept in path if kept.time_s >= one.time_s), key=lambda kept: kept.time_s)
        length = after.time_s - before.time_s
        at = before.at.towards(after.at, (one.time_s - before.time_s) / length if length else 0.0)
        assert max(abs(at.x - one.anchor.x), abs(at.y - one.anchor.y)) <= PATH_TOLERANCE + 1e-9


def test_a_path_never_grows_without_bound() -> None:
    track = built([point(n / 5, box(0.3 + 0.3 * (n % 2), 0.5)) for n in range(5_000)])

    assert len(track.path) <= MAX_PATH_POINTS + 1
    assert (track.path[0].time_s, track.path[-1].time_s) == (0.0, 4_999 / 5)


def test_tracks_are_finished_once_they_are_forgotten() -> None:
    live = LiveTracks(forget_after_s=1.0)

    finished = [live.add(seen(time_s, *ids)) for time_s, ids in ((0.0, (1, 2)), (0.5, (2, None)), (1.2, (2,)))]

    assert [[track.track_id for track in tracks] for tracks in finished] == [[], [], [1]]
    assert [(track.track_id, track.points, track.last_seen_s) for track in live.close()] == [(2, 3, 1.2)]
    assert live.close() == []
