"""HEAD is answered wherever GET is, with the same status and headers, and without a body (RFC 9110, 9.3.2)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from fastapi.routing import iter_route_contexts

from tests.unit.http.edge import Edge, authorised
from tests.unit.http.samples import JOB_ID, SHA256, VIDEO_ID, job, probed_video, running, video
from tests.unit.http.test_content import Content
from vidintel.application.jobs.requests import JobPage
from vidintel.application.ports import VideoReport
from vidintel.application.queries.detections import DetectionPage
from vidintel.application.queries.readiness import Readiness
from vidintel.application.queries.results import VideoResults, VideoTimeline
from vidintel.application.queries.tracks import TrackPage
from vidintel.application.videos.library import VideoPage
from vidintel.domain.analytics import MinimumTrack, Span
from vidintel.domain.errors import DomainError, ServiceUnavailable, VideoNotFound
from vidintel.domain.results import JobSummary, JobTimeline
from vidintel.presentation.http.app import create_app

IDS = {"video_id": str(VIDEO_ID), "job_id": str(JOB_ID), "track_id": "7", "seconds": "1.5"}
SAME_ID = {"X-Request-ID": "same"}


TIMELINE = JobTimeline(1.0, {"car": (Span(0.0, 1.5),)}, (1.5,), "hsv_histogram")
SUMMARY = JobSummary(
    frames_analysed=2,
    frames_reused=0,
    detections=0,
    unique_tracks=0,
    busiest=None,
    labels={},
    line_crossings=(),
    zones=(),
    minimum_track=MinimumTrack(),
    warnings=(),
)


class Picture:
    size_bytes = 6
    sha256 = SHA256

    async def read(self) -> AsyncIterator[bytes]:
        yield b"JPEG.."


ANSWERS: dict[str, Any] = {
    "list_videos": VideoPage([video()], None),
    "get_video": VideoReport(probed_video(), None),
    "open_content": Content(),
    "list_jobs": JobPage([job()], None),
    "get_job": running(45, 60, 1.5),
    "list_detections": DetectionPage(job(), None, [], None),
    "list_tracks": TrackPage(job(), None, [], None),
    "get_timeline": VideoTimeline(job(), None, TIMELINE),
    "get_results": VideoResults(job(), SUMMARY, TIMELINE, None),
    "open_picture": Picture(),
    "render_frame": b"JPEG..",
    "list_models": [],
    "check_readiness": Readiness({}, {}),
}


def paths_with_get() -> list[str]:
    routes = iter_route_contexts(create_app(Edge().services()).routes)
    return [route.path.format(**IDS) for route in routes if route.path and "GET" in (route.methods or ())]


@pytest.mark.parametrize("path", paths_with_get())
@pytest.mark.parametrize("headers", [authorised(), {}], ids=["with a token", "without"])
@pytest.mark.parametrize("query", ["", "?no_such=1"])
async def test_head_is_answered_as_get_without_the_body(
    edge: Edge, path: str, headers: dict[str, str], query: str
) -> None:
    edge.answers |= ANSWERS

    await assert_alike(edge, path + query, headers)


@pytest.mark.parametrize("error", [VideoNotFound(VIDEO_ID), ServiceUnavailable("x"), RuntimeError("x")])
@pytest.mark.parametrize("path", [path for path in paths_with_get() if path.startswith("/api/")])
async def test_errors_are_answered_alike(edge: Edge, path: str, error: DomainError) -> None:
    edge.answers |= dict.fromkeys(ANSWERS, error)

    await assert_alike(edge, path, authorised())


@pytest.mark.parametrize("path", ["/nowhere", "/docs/static/redoc.js", "/docs/static/nothing.js"])
async def test_other_addresses_are_answered_alike(edge: Edge, path: str) -> None:
    await assert_alike(edge, path, {})


async def test_head_of_a_picture_does_not_read_the_storage(edge: Edge) -> None:
    class Untouched(Picture):
        def read(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            raise AssertionError

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

    edge.answers["open_picture"] = Untouched()

    async with edge.client() as client:
        response = await client.head(f"/api/v1/videos/{VIDEO_ID}/poster.jpg")

    assert (response.status_code, response.headers["content-length"]) == (200, "6")


async def constant_metrics() -> bytes:
    return b"requests 1"


async def assert_alike(edge: Edge, address: str, headers: dict[str, str]) -> None:
    seen = {}
    for method in ("GET", "HEAD"):
        with structlog.testing.capture_logs() as lines:
            async with edge.client(headers=headers | SAME_ID, expose_metrics=constant_metrics) as client:
                response = await client.request(method, address)
        seen[method] = (response.status_code, sorted(response.headers.multi_items()))
        (line,) = [line for line in lines if line["event"] == "request.completed"]
        assert (line["method"], line["status"]) == (method, response.status_code)
        # The client drops the body of such an answer by itself: the log counts what was sent.
        assert method == "GET" or line["bytes"] == 0
    assert seen["HEAD"] == seen["GET"]
    assert any(name == "content-length" for name, _ in seen["GET"][1])
