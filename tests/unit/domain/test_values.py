"""Value objects validate themselves."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.detection import BoundingBox, Detection
from vidintel.domain.errors import AuthorizationError, ValidationError
from vidintel.domain.geometry import Line, Point, Zone
from vidintel.domain.identity import PERMISSIONS, Permission, Principal, Role, TenantId, UserId
from vidintel.domain.video import (
    CameraId,
    SourceKind,
    VideoSource,
    validate_captured_at,
    validate_description,
    validate_title,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
UNIT = st.floats(0, 1)
LINE = Line("gate", Point(0, 0.5), Point(1, 0.5))
ZONE = Zone("kerb", (Point(0.1, 0.1), Point(0.2, 0.1), Point(0.2, 0.3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: UserId(""),
        lambda: TenantId("a b"),
        lambda: TenantId("x" * 129),
        lambda: TenantId("../etc"),
        lambda: BoundingBox(0.5, 0.0, 0.4, 1.0),
        lambda: BoundingBox(-0.1, 0.0, 0.4, 1.0),
        lambda: BoundingBox(0.0, 0.0, 1.1, 1.0),
        lambda: BoundingBox(math.nan, 0.0, 1.0, 1.0),
        lambda: Detection("", 0.5, BoundingBox(0, 0, 1, 1)),
        lambda: Detection("car", 1.5, BoundingBox(0, 0, 1, 1)),
        lambda: Detection("car", math.nan, BoundingBox(0, 0, 1, 1)),
        lambda: AnalysisSpec(model=""),
        lambda: AnalysisSpec(model="m", sample_fps=0),
        lambda: AnalysisSpec(model="m", sample_fps=-1),
        lambda: AnalysisSpec(model="m", sample_fps=10_000),
        lambda: AnalysisSpec(model="m", sample_fps=math.inf),
        lambda: AnalysisSpec(model="m", min_confidence=1.1),
        lambda: AnalysisSpec(model="m", iou_threshold=-0.1),
        lambda: AnalysisSpec(model="m", track_confidence=1.1),
        lambda: AnalysisSpec(model="m", labels=()),
        lambda: AnalysisSpec(model="m", lines=(LINE, LINE)),
        lambda: AnalysisSpec(model="m", zones=(ZONE, replace(ZONE, name="same place"))),
        lambda: VideoSource(SourceKind.UPLOAD, ""),
        lambda: VideoSource(SourceKind.UPLOAD, "a\nb.mp4"),
        lambda: validate_title("   "),
        lambda: validate_title("x" * 201),
        lambda: validate_title("half of a pair: \ud800"),
        lambda: validate_description("half of a pair: \udfff"),
        lambda: validate_description("a\x00b"),
        lambda: validate_captured_at(datetime(2026, 1, 1), NOW),  # noqa: DTZ001 - naive on purpose
        lambda: validate_captured_at(NOW + timedelta(seconds=1), NOW),
        lambda: validate_captured_at(datetime(1700, 1, 1, tzinfo=UTC), NOW),
        lambda: validate_captured_at(datetime.min.replace(tzinfo=timezone(timedelta(hours=10))), NOW),
        lambda: CameraId(""),
        lambda: CameraId("x" * 201),
        lambda: CameraId(" gate-3"),
        lambda: CameraId("gate\n3"),
        lambda: CameraId("gate\x00"),
        lambda: CameraId("half of a pair: \ud800"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValidationError):
        make()


@pytest.mark.parametrize("camera_id", ["7", "Gate 3, nörd", "x" * 200])
def test_a_camera_is_named_in_the_clients_own_words(camera_id: str) -> None:
    assert str(CameraId(camera_id)) == camera_id


def test_captured_at_is_kept_in_utc() -> None:
    local = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    assert validate_captured_at(local, NOW) == datetime(2026, 1, 1, 10, tzinfo=UTC)


@st.composite
def boxes(draw: st.DrawFn) -> BoundingBox:
    (x1, x2), (y1, y2) = (sorted((draw(UNIT), draw(UNIT))) for _ in range(2))
    return BoundingBox(x1, y1, x2, y2)


@example(BoundingBox(0.0, 0.0, 1e-191, 1e-191), BoundingBox(0.0, 0.0, 1e-191, 1e-202))
@given(boxes(), boxes())
def test_iou_is_symmetric_and_bounded(a: BoundingBox, b: BoundingBox) -> None:
    assert a.iou(b) == b.iou(a)
    assert 0.0 <= a.iou(b) <= 1.0 + 1e-9
    if a.area > 1e-9:
        assert a.iou(a) == pytest.approx(1.0)


def test_each_role_may_do_all_that_the_one_before_it_may() -> None:
    assert PERMISSIONS[Role.VIEWER] < PERMISSIONS[Role.EDITOR] < PERMISSIONS[Role.ADMIN]
    assert PERMISSIONS[Role.ADMIN] == frozenset(Permission)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_principal_may_do_exactly_what_its_role_grants(role: Role, permission: Permission) -> None:
    principal = Principal(UserId("u"), TenantId("t"), role)

    if permission in PERMISSIONS[role]:
        principal.require(permission)
    else:
        with pytest.raises(AuthorizationError):
            principal.require(permission)
