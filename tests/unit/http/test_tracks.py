"""Objects followed through time, and the timeline, over HTTP."""

from datetime import UTC, datetime

import pytest

from tests.unit.http.edge import EDITOR, Edge, assert_problem
from tests.unit.http.samples import JOB_ID, VIDEO_ID, job
from vidintel.application.ports import Page, TrackFilter
from vidintel.application.queries.results import VideoTimeline
from vidintel.application.queries.tracks import TrackPage
from vidintel.domain.analytics import Span
from vidintel.domain.detection import BoundingBox
from vidintel.domain.errors import ResultNotFound
from vidintel.domain.geometry import Point
from vidintel.domain.results import JobTimeline
from vidintel.domain.tracking import BestShot, PathPoint, Track

VIDEO = f"/api/v1/videos/{VIDEO_ID}"
CAPTURED_AT = datetime(2026, 5, 1, 6, tzinfo=UTC)
TRACK = Track(
    track_id=7,
    label="car",
    confidence=0.9,
    first_seen_s=0.48,
    last_seen_s=2.0,
    points=9,
    path=(PathPoint(0.48, Point(0.25, 0.5)), PathPoint(2.0, Point(1.0, 0.0))),
    best_shot=BestShot(25, 1.0, BoundingBox(0.1, 0.2, 0.3, 0.4)),
)
SHOWN = {
    "track_id": 7,
    "label": "car",
    "confidence": 0.9,
    "first_seen_s": 0.48,
    "last_seen_s": 2.0,
    "first_seen_at": None,
    "last_seen_at": None,
    "points": 9,
    "path": [{"time_s": 0.48, "x": 0.25, "y": 0.5}, {"time_s": 2.0, "x": 1.0, "y": 0.0}],
    "best_shot": {"time_s": 1.0, "box": {"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4}},
}


async def test_a_track_says_what_it_is_and_where_it_went(edge: Edge) -> None:
    edge.answers["list_tracks"] = TrackPage(job(), None, [TRACK], "next")

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/tracks")

    assert response.json() == {
        "job_id": str(JOB_ID),
        "job_status": "queued",
        "items": [SHOWN],
        "next_cursor": "next",
    }


async def test_the_wall_clock_of_a_track_is_that_of_the_video_and_its_times(edge: Edge) -> None:
    edge.answers["list_tracks"] = TrackPage(job(), CAPTURED_AT, [TRACK], None)

    async with edge.client() as client:
        (track,) = (await client.get(f"{VIDEO}/tracks")).json()["items"]

    assert track["first_seen_at"] == "2026-05-01T06:00:00.480000Z"
    assert track["last_seen_at"] == "2026-05-01T06:00:02Z"


@pytest.mark.parametrize(
    ("query", "job_id", "filter_", "page"),
    [
        ("", None, TrackFilter(), Page(100, None)),
        (
            f"?label=car&from_s=1&to_s=2.5&min_duration_s=0.5&job_id={JOB_ID}&limit=1000&cursor=abc",
            JOB_ID,
            TrackFilter("car", 1.0, 2.5, 0.5),
            Page(1000, "abc"),
        ),
    ],
)
async def test_tracks_are_filtered(edge: Edge, query: str, job_id: object, filter_: TrackFilter, page: Page) -> None:
    edge.answers["list_tracks"] = TrackPage(job(), None, [], None)

    async with edge.client() as client:
        await client.get(f"{VIDEO}/tracks{query}")

    assert edge.called("list_tracks") == (EDITOR, VIDEO_ID, job_id, filter_, page)


async def test_the_timeline_has_the_intervals_of_each_label(edge: Edge) -> None:
    labels = {"car": [{"start_s": 0.0, "end_s": 1.5}]}
    shots: dict[str, object] = {"shot_changes": [1.5], "shot_change_method": "hsv_histogram"}
    timeline = JobTimeline(1.0, {"car": (Span(0.0, 1.5),)}, (1.5,), "hsv_histogram")
    edge.answers["get_timeline"] = VideoTimeline(job(), CAPTURED_AT, timeline)

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/timeline?job_id={JOB_ID}")

    assert edge.called("get_timeline") == (EDITOR, VIDEO_ID, JOB_ID)
    assert response.json() == {
        "video_id": str(VIDEO_ID),
        "job_id": str(JOB_ID),
        "captured_at": "2026-05-01T06:00:00Z",
        "join_gap_s": 1.0,
        "labels": labels,
        **shots,
    }


async def test_a_timeline_that_is_not_there_yet_is_a_problem(edge: Edge) -> None:
    edge.answers["get_timeline"] = ResultNotFound("Not yet.")

    async with edge.client() as client:
        assert_problem(await client.get(f"{VIDEO}/timeline"), 404, "result_not_found")
