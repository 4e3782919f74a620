"""Lines and zones in the picture."""

from collections.abc import Callable
from typing import Annotated, TypeAlias, TypeVar

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from vidintel.domain.errors import ValidationError
from vidintel.domain.geometry import MAX_ZONE_POINTS, NAME_MAX, Line, Point, Zone
from vidintel.presentation.http.schemas.common import Body

T = TypeVar("T")
StrictNumber: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# The domain checks these rules and explains their errors. Here they are only documented.
ShareNumber: TypeAlias = Annotated[StrictNumber, Field(json_schema_extra={"minimum": 0, "maximum": 1})]
_Name: TypeAlias = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": NAME_MAX})]

_POINTS = 1000  # limits the work on an absurd request
_CORNERS: JsonDict = {"minItems": 3, "maxItems": MAX_ZONE_POINTS}


class PointBody(Body):
    """A point in the displayed picture. x and y are 0..1; the origin is the top left corner."""

    x: ShareNumber
    y: ShareNumber

    @classmethod
    def of(cls, point: Point) -> "PointBody":
        return cls(x=point.x, y=point.y)

    def point(self) -> Point:
        return Point(self.x, self.y)


class LineBody(Body):
    """A line whose crossings are counted in both directions. `forward` is from the left of start → end to its right."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "stop line", "start": {"x": 0.1, "y": 0.6}, "end": {"x": 0.9, "y": 0.6}}]
        },
    )

    name: _Name
    start: PointBody
    end: PointBody

    @classmethod
    def of(cls, line: Line) -> "LineBody":
        return cls(name=line.name, start=PointBody.of(line.start), end=PointBody.of(line.end))

    def line(self, field: str) -> Line:
        """Raises `ValidationError`, which names ``field``."""
        return _at(field, lambda: Line(self.name, self.start.point(), self.end.point()))


class ZoneBody(Body):
    """A polygon with its corners in order; the last is joined to the first. Zones must not overlap."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "crossing", "points": [{"x": 0.4, "y": 0.4}, {"x": 0.6, "y": 0.4}, {"x": 0.5, "y": 0.7}]}
            ]
        },
    )

    name: _Name
    points: Annotated[list[PointBody], Field(max_length=_POINTS, json_schema_extra=_CORNERS)]

    @classmethod
    def of(cls, zone: Zone) -> "ZoneBody":
        return cls(name=zone.name, points=[PointBody.of(point) for point in zone.points])

    def zone(self, field: str) -> Zone:
        """Raises `ValidationError`, which names ``field``."""
        return _at(field, lambda: Zone(self.name, tuple(point.point() for point in self.points)))


def _at(field: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except ValidationError as error:
        raise ValidationError(error.detail, field=field) from None
