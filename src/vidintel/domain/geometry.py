"""Lines and zones that a client draws into the picture, and exact geometric predicates on them.

Coordinates are 0..1 of the displayed (rotated) picture, x to the right and y down. No result here changes when the
picture is stretched, so the aspect ratio of the picture is not needed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, pairwise

from vidintel.domain.detection import BoundingBox
from vidintel.domain.errors import ValidationError

MAX_LINES = 16
MAX_ZONES = 16
MAX_ZONE_POINTS = 32
NAME_MAX = 100

# Corners are compared on an integer grid, where geometry is exact: a millionth of the picture is far below a pixel.
# Grid values are even, so that the middle of two grid points is on the grid as well.
_GRID = 1_000_000

_GridPoint = tuple[int, int]
_GridEdge = tuple[_GridPoint, _GridPoint]


class Direction(StrEnum):
    """The direction in which a line was crossed, looking from its start to its end."""

    FORWARD = "forward"
    """From the left of the line to its right."""
    BACKWARD = "backward"
    """From the right of the line to its left."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the picture, 0..1 each."""

    x: float
    y: float

    def __post_init__(self) -> None:
        # NaN fails the comparison too
        if not (0.0 <= self.x <= 1.0 and 0.0 <= self.y <= 1.0):
            raise ValidationError(f"x and y of a point must lie between 0 and 1; got ({self.x}, {self.y}).")

    @classmethod
    def centre_of(cls, box: BoundingBox) -> "Point":
        return cls((box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2)

    def towards(self, other: "Point", share: float) -> "Point":
        """The point at ``share`` (0..1) of the way to ``other``."""
        # this form of the interpolation never rounds to a value outside the picture
        return Point(self.x * (1 - share) + other.x * share, self.y * (1 - share) + other.y * share)


@dataclass(frozen=True, slots=True)
class Line:
    """A named, directed line segment from ``start`` to ``end``. Raises `ValidationError` when it has no length."""

    name: str
    start: Point
    end: Point

    def __post_init__(self) -> None:
        _require_name("line", self.name)
        if _grid(self.start) == _grid(self.end):
            raise ValidationError(f"Line '{self.name}' has no length: its start and end are the same point.")

    def side(self, point: Point) -> float:
        """Above 0 on the right of the infinite line through both ends, below 0 on its left, 0 on it."""
        return _turn(self.start, self.end, point)

    def depth(self, point: Point, box: BoundingBox) -> float:
        """The distance of ``point``, the centre of ``box``, from the line, in half box extents across the line.

        Positive on the right, negative on the left. At 1 and more (-1 and less) the whole box is on that side.
        """
        dx, dy = self.end.x - self.start.x, self.end.y - self.start.y
        extent = (abs(dx) * (box.y2 - box.y1) + abs(dy) * (box.x2 - box.x1)) / 2
        side = self.side(point)
        if extent == 0.0:
            return math.copysign(math.inf, side) if side else 0.0
        return side / extent

    def crossed(self, before: Point, after: Point) -> Direction | None:
        """The direction in which the straight path ``before`` → ``after`` passes between the line's two ends.

        A point on the line counts as being on its right. So a path that stops on the line crosses it once in total,
        and a path through the common end of two joined lines crosses exactly one of them.
        """
        was_right, is_right = self.side(before) >= 0.0, self.side(after) >= 0.0
        if was_right == is_right:
            return None
        if (_turn(before, after, self.start) >= 0.0) == (_turn(before, after, self.end) >= 0.0):
            return None
        return Direction.FORWARD if is_right else Direction.BACKWARD

    def share_before(self, before: Point, after: Point) -> float:
        """The share (0..1) of the path ``before`` → ``after`` that lies before the infinite line."""
        near, far = abs(self.side(before)), abs(self.side(after))
        return near / (near + far) if near + far else 0.0


@dataclass(frozen=True, slots=True)
class Zone:
    """A named polygon. Its corners are in clockwise or anticlockwise order; the last is joined to the first.

    Raises `ValidationError` for fewer than 3 or more than `MAX_ZONE_POINTS` corners, for repeated corners, for a
    polygon without area, and for edges that cross or touch each other.
    """

    name: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        _require_name("zone", self.name)
        if not 3 <= len(self.points) <= MAX_ZONE_POINTS:
            raise ValidationError(f"Zone '{self.name}' needs 3 to {MAX_ZONE_POINTS} points; it has {len(self.points)}.")
        corners = [_grid(point) for point in self.points]
        if len(set(corners)) < len(corners):
            raise ValidationError(
                f"Zone '{self.name}' has the same point twice. Do not repeat the first point at the end."
            )
        if all(_grid_turn(corners[0], corners[1], corner) == 0 for corner in corners[2:]):
            raise ValidationError(f"Zone '{self.name}' has no area: all its points lie on one line.")
        if _crosses_itself(_edges(corners)):
            raise ValidationError(f"Zone '{self.name}' crosses itself. Give its corners in order along its outline.")

    def contains(self, point: Point) -> bool:
        """Whether ``point`` lies inside. A point on an edge shared by two zones lies in exactly one of them."""
        inside = False
        for start, end in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            if (start.y > point.y) == (end.y > point.y):
                continue
            low, high = (start, end) if start.y < end.y else (end, start)
            if _turn(low, high, point) > 0.0:
                inside = not inside
        return inside

    def overlaps(self, other: "Zone") -> bool:
        """Whether the two have an area in common; zones that only touch do not."""
        mine, theirs = [_grid(point) for point in self.points], [_grid(point) for point in other.points]
        if any(_cross_properly(edge, with_edge) for edge in _edges(mine) for with_edge in _edges(theirs)):
            return True
        # Edges meet at corners at most: either some piece of an edge lies inside the other zone, or the zones are
        # apart, or they are the same.
        return _enters(mine, theirs) or _enters(theirs, mine) or _bends(mine) == _bends(theirs)


def validate_lines(lines: Sequence[Line]) -> None:
    """Raises `ValidationError` for too many lines and for names used twice."""
    _require_distinct("lines", [line.name for line in lines], MAX_LINES)


def validate_zones(zones: Sequence[Zone]) -> None:
    """Raises `ValidationError` for too many zones, names used twice, and zones that overlap. Zones may touch."""
    _require_distinct("zones", [zone.name for zone in zones], MAX_ZONES)
    for one, other in combinations(zones, 2):
        if one.overlaps(other):
            raise ValidationError(f"Zones '{one.name}' and '{other.name}' overlap.", field="spec.zones")


def _require_name(kind: str, name: str) -> None:
    if not 0 < len(name) <= NAME_MAX or name != name.strip() or not name.isprintable():
        raise ValidationError(
            f"The name of a {kind} must have 1 to {NAME_MAX} printable characters, without spaces around it."
        )


def _require_distinct(kind: str, names: Sequence[str], limit: int) -> None:
    if len(names) > limit:
        raise ValidationError(f"At most {limit} {kind} are allowed; got {len(names)}.", field=f"spec.{kind}")
    if len(set(names)) < len(names):
        raise ValidationError(f"Each of the {kind} must have a different name.", field=f"spec.{kind}")


def _turn(start: Point, end: Point, point: Point) -> float:
    """Above 0 when ``point`` is on the right of ``start`` → ``end`` (y points down)."""
    return (end.x - start.x) * (point.y - start.y) - (end.y - start.y) * (point.x - start.x)


def _grid(point: Point) -> _GridPoint:
    return 2 * round(point.x * _GRID), 2 * round(point.y * _GRID)


def _grid_turn(start: _GridPoint, end: _GridPoint, point: _GridPoint) -> int:
    turn = (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
    return (turn > 0) - (turn < 0)


def _edges(corners: Sequence[_GridPoint]) -> list[_GridEdge]:
    return list(pairwise([*corners, corners[0]]))


def _is_on(edge: _GridEdge, point: _GridPoint) -> bool:
    (ax, ay), (bx, by) = edge
    return (
        min(ax, bx) <= point[0] <= max(ax, bx)
        and min(ay, by) <= point[1] <= max(ay, by)
        and _grid_turn(*edge, point) == 0
    )


def _cross_properly(one: _GridEdge, other: _GridEdge) -> bool:
    """Whether the edges cross at a point that is an end of neither."""
    return (
        _grid_turn(*one, other[0]) * _grid_turn(*one, other[1]) < 0
        and _grid_turn(*other, one[0]) * _grid_turn(*other, one[1]) < 0
    )


def _crosses_itself(edges: Sequence[_GridEdge]) -> bool:
    for (place, one), (at, other) in combinations(enumerate(edges), 2):
        if _cross_properly(one, other):
            return True
        # Neighbouring edges share one corner. Any other common point means that the edges touch.
        shared = {one[1]} if at == place + 1 else {one[0]} if (place, at) == (0, len(edges) - 1) else set()
        touches = {end for end in other if _is_on(one, end)} | {end for end in one if _is_on(other, end)}
        if touches - shared:
            return True
    return False


def _enters(corners: Sequence[_GridPoint], zone: Sequence[_GridPoint]) -> bool:
    """Whether a piece of the outline of ``corners`` lies strictly inside ``zone``; no edges cross properly."""
    for edge in _edges(corners):
        stops = sorted({*edge, *(corner for corner in zone if _is_on(edge, corner))})
        for start, end in pairwise(stops):
            if _is_strictly_inside(((start[0] + end[0]) // 2, (start[1] + end[1]) // 2), zone):
                return True
    return False


def _is_strictly_inside(point: _GridPoint, corners: Sequence[_GridPoint]) -> bool:
    inside = False
    for edge in _edges(corners):
        if _is_on(edge, point):
            return False
        low, high = sorted(edge, key=lambda corner: corner[1])
        if (low[1] > point[1]) != (high[1] > point[1]) and _grid_turn(low, high, point) > 0:
            inside = not inside
    return inside


def _bends(corners: Sequence[_GridPoint]) -> set[_GridPoint]:
    """The corners at which the outline changes direction."""
    around = [corners[-1], *corners, corners[0]]
    return {
        corner
        for before, corner, after in zip(around, around[1:], around[2:], strict=False)
        if _grid_turn(before, corner, after) != 0
    }
