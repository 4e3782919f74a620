"""Lines and zones: what they refuse, and what they answer."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vidintel.domain.detection import BoundingBox
from vidintel.domain.errors import ValidationError
from vidintel.domain.geometry import (
    MAX_LINES,
    MAX_ZONE_POINTS,
    MAX_ZONES,
    Direction,
    Line,
    Point,
    Zone,
    validate_lines,
    validate_zones,
)

unit = st.integers(0, 1000).map(lambda value: value / 1000)
points = st.builds(Point, unit, unit)
UPWARDS = Line("gate", Point(0.5, 0.8), Point(0.5, 0.2))


def zone(*corners: tuple[float, float], name: str = "zone") -> Zone:
    return Zone(name, tuple(Point(x, y) for x, y in corners))


def square(left: float, top: float, size: float, name: str = "square") -> Zone:
    return zone((left, top), (left + size, top), (left + size, top + size), (left, top + size), name=name)


@st.composite
def star_zones(draw: st.DrawFn) -> Zone:
    """Simple polygons, often concave: corners at rising angles around a centre."""
    angles = sorted({*draw(st.lists(st.integers(0, 71), max_size=9)), 1, 25, 49})
    turns = [(after - before) % 72 for before, after in zip(angles, [*angles[1:], angles[0]], strict=True)]
    assume(max(turns) < 36)  # else the centre lies outside, and edges may cross
    centre = (draw(st.integers(3, 7)) / 10, draw(st.integers(3, 7)) / 10)
    corners = []
    for angle in angles:
        radius = draw(st.integers(5, 28)) / 100
        radians = angle * math.tau / 72
        corners.append((centre[0] + radius * math.cos(radians), centre[1] + radius * math.sin(radians)))
    return zone(*corners)


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "y"), [(-0.1, 0.5), (0.5, 1.01), (math.nan, 0.5), (0.5, math.inf)])
def test_a_point_outside_the_picture_is_refused(x: float, y: float) -> None:
    with pytest.raises(ValidationError):
        Point(x, y)


def test_a_line_without_length_is_refused() -> None:
    with pytest.raises(ValidationError, match="no length"):
        Line("gate", Point(0.3, 0.3), Point(0.3, 0.3))


@pytest.mark.parametrize("name", ["", " gate", "x" * 101])
def test_a_line_needs_a_proper_name(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Line(name, Point(0, 0), Point(1, 1))


def test_forward_is_from_the_left_of_the_line_to_its_right() -> None:
    assert UPWARDS.crossed(Point(0.4, 0.5), Point(0.6, 0.5)) is Direction.FORWARD
    assert UPWARDS.crossed(Point(0.6, 0.5), Point(0.4, 0.5)) is Direction.BACKWARD


def test_a_way_around_the_end_of_a_line_does_not_cross_it() -> None:
    assert UPWARDS.crossed(Point(0.4, 0.1), Point(0.6, 0.1)) is None


def test_a_halt_on_the_line_is_one_crossing_in_all() -> None:
    left, on, right = Point(0.4, 0.5), Point(0.5, 0.5), Point(0.6, 0.5)

    assert [UPWARDS.crossed(left, on), UPWARDS.crossed(on, right)] == [Direction.FORWARD, None]
    assert [UPWARDS.crossed(right, on), UPWARDS.crossed(on, left)] == [None, Direction.BACKWARD]


def test_a_way_through_the_joint_of_two_lines_crosses_one_of_them() -> None:
    above, below = Line("above", Point(0.5, 0.2), Point(0.5, 0.5)), Line("below", Point(0.5, 0.5), Point(0.5, 0.8))
    for before, after in ((Point(0.4, 0.5), Point(0.6, 0.5)), (Point(0.6, 0.4), Point(0.4, 0.6))):
        crossed = [line.crossed(before, after) for line in (above, below)]

        assert sum(direction is not None for direction in crossed) == 1


@given(points, points, points, points)
def test_the_way_back_crosses_the_other_way(start: Point, end: Point, before: Point, after: Point) -> None:
    assume(start != end and before != after)
    line = Line("gate", start, end)
    there, back = line.crossed(before, after), line.crossed(after, before)

    # a way that lies in the line's own direction may touch its ends differently; all others are mirrored
    assume(all(line.side(point) != 0 for point in (before, after)))
    assume(all(Line("way", before, after).side(point) != 0 for point in (start, end)))
    assert (there is None) == (back is None)
    assert there is None or there is not back


def test_depth_is_measured_in_half_boxes_across_the_line() -> None:
    box = BoundingBox(0.55, 0.4, 0.65, 0.6)

    assert UPWARDS.depth(Point.centre_of(box), box) == pytest.approx(2.0)
    assert UPWARDS.depth(Point(0.45, 0.5), BoundingBox(0.4, 0.4, 0.5, 0.6)) == pytest.approx(-1.0)
    assert UPWARDS.depth(Point(0.6, 0.5), BoundingBox(0.6, 0.5, 0.6, 0.5)) == math.inf


def test_share_before_tells_where_on_the_way_the_line_lies() -> None:
    assert UPWARDS.share_before(Point(0.4, 0.5), Point(0.8, 0.5)) == pytest.approx(0.25)


def test_lines_have_names_of_their_own_and_are_limited_in_number() -> None:
    validate_lines([UPWARDS, Line("other", Point(0, 0), Point(1, 0))])
    with pytest.raises(ValidationError, match="different name"):
        validate_lines([UPWARDS, UPWARDS])
    with pytest.raises(ValidationError, match="At most"):
        validate_lines([Line(str(n), Point(0, 0), Point(1, 0)) for n in range(MAX_LINES + 1)])


# --- zones ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corners", "why"),
    [
        ([(0.1, 0.1), (0.9, 0.9)], "3 to"),
        ([(0.1, 0.1), (0.5, 0.5), (0.9, 0.9)], "no area"),
        ([(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.1)], "same point twice"),
        ([(0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)], "crosses itself"),
        ([(0.1, 0.1), (0.9, 0.1), (0.5, 0.1), (0.5, 0.9)], "crosses itself"),
        ([(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.5, 0.1), (0.1, 0.9)], "crosses itself"),
        ([(n / (MAX_ZONE_POINTS + 1), (n % 2) / 2) for n in range(MAX_ZONE_POINTS + 1)], "3 to"),
    ],
    ids=["two points", "on one line", "closed twice", "bow tie", "spike", "pinched", "too many"],
)
def test_a_zone_that_is_no_area_is_refused(corners: list[tuple[float, float]], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        zone(*corners)


def test_a_concave_zone_contains_its_inside_only() -> None:
    horseshoe = zone((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.7, 0.9), (0.7, 0.3), (0.3, 0.3), (0.3, 0.9), (0.1, 0.9))

    assert horseshoe.contains(Point(0.2, 0.8))
    assert horseshoe.contains(Point(0.5, 0.2))
    assert not horseshoe.contains(Point(0.5, 0.6))


@given(st.integers(1, 9).map(lambda value: value / 10), points)
def test_the_picture_cut_in_two_holds_each_point_once(cut: float, point: Point) -> None:
    left = zone((0, 0), (cut, 0), (cut, 1), (0, 1))
    right = zone((cut, 0), (1, 0), (1, 1), (cut, 1))
    assume(point.x < 1 and point.y < 1)

    assert left.contains(point) + right.contains(point) == 1


@given(star_zones(), points)
def test_the_order_of_the_corners_does_not_matter(one: Zone, point: Point) -> None:
    assume(all(abs(point.y - corner.y) > 1e-9 for corner in one.points))
    turned = Zone("zone", (*one.points[2:], *one.points[:2]))
    mirrored = Zone("zone", one.points[::-1])

    assert one.contains(point) == turned.contains(point) == mirrored.contains(point)


@given(star_zones(), star_zones(), points)
def test_zones_with_a_common_inner_point_overlap(one: Zone, other: Zone, point: Point) -> None:
    assert one.overlaps(one)
    assert one.overlaps(other) == other.overlaps(one)
    assert one.overlaps(other) or not (one.contains(point) and other.contains(point))


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (square(0.1, 0.1, 0.2), square(0.3, 0.1, 0.2), False),
        (square(0.1, 0.1, 0.2), square(0.3, 0.3, 0.2), False),
        (square(0.1, 0.1, 0.2), square(0.2, 0.2, 0.2), True),
        (square(0.1, 0.1, 0.6), square(0.3, 0.3, 0.1), True),
        (square(0.1, 0.1, 0.2), square(0.1, 0.1, 0.2), True),
        (square(0.2, 0.2, 0.4), zone((0.4, 0.2), (0.6, 0.4), (0.4, 0.6), (0.2, 0.4)), True),
        (square(0.2, 0.2, 0.4), zone((0.2, 0.2), (0.6, 0.2), (0.6, 0.6)), True),
        (zone((0.1, 0.1), (0.5, 0.1), (0.1, 0.5)), zone((0.5, 0.1), (0.5, 0.5), (0.1, 0.5)), False),
    ],
    ids=["side by side", "corner to corner", "crossing", "inside", "same", "through corners", "half", "two halves"],
)
def test_overlap_means_a_common_area(one: Zone, other: Zone, overlap: bool) -> None:
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap


def test_zones_that_overlap_or_share_a_name_are_refused() -> None:
    validate_zones([square(0.1, 0.1, 0.2, "a"), square(0.3, 0.1, 0.2, "b")])
    with pytest.raises(ValidationError, match="overlap"):
        validate_zones([square(0.1, 0.1, 0.2, "a"), square(0.2, 0.2, 0.2, "b")])
    with pytest.raises(ValidationError, match="different name"):
        validate_zones([square(0.1, 0.1, 0.2, "a"), square(0.5, 0.5, 0.2, "a")])
    with pytest.raises(ValidationError, match="At most"):
        validate_zones([square(n / 20, 0.1, 0.01, str(n)) for n in range(MAX_ZONES + 1)])
