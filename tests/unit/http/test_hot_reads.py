"""What is answered before the framework's routing is answered as its route would."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from tests.unit.http.edge import NOW, Edge, assert_problem, authorised
from tests.unit.http.samples import JOB_ID, VIDEO_ID, probed_video, running, video
from vidintel.application.ports import VideoReport
from vidintel.domain.errors import JobNotFound, ServiceUnavailable, VideoNotFound

# Ids are compared without regard to case, and only the usual way of writing them is taken before the routing.
VIDEO, VIDEO_BY_ROUTE = f"/api/v1/videos/{VIDEO_ID}", f"/api/v1/videos/{str(VIDEO_ID).upper()}"
JOB, JOB_BY_ROUTE = f"/api/v1/jobs/{JOB_ID}", f"/api/v1/jobs/{str(JOB_ID).upper()}"
SAME_ID = {"X-Request-ID": "same"}
ANSWERS: dict[str, tuple[str, Any]] = {
    "a video": (VIDEO, VideoReport(probed_video(description="Süd"), None)),
    "a video with a job": (VIDEO, VideoReport(video(), running(1, 2, 3))),
    "a job": (JOB, running(45, 60, 1.5)),
    "no video": (VIDEO, VideoNotFound(VIDEO_ID)),
    "no job": (JOB, JobNotFound(JOB_ID)),
    "an outage": (VIDEO, ServiceUnavailable("The database does not answer.")),
    "a fault": (VIDEO, RuntimeError("x")),
}


@pytest.mark.parametrize(("path", "answer"), ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize(
    "headers",
    [
        authorised(),
        authorised() | {"Content-Length": "5"},
        {},
        {"Authorization": "Bearer bad"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic x"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_both_ways_give_the_same_answer_and_log_line(
    edge: Edge, path: str, answer: Any, headers: dict[str, str], method: str
) -> None:
    use_case, by_route = ("get_video", VIDEO_BY_ROUTE) if path == VIDEO else ("get_job", JOB_BY_ROUTE)
    edge.answers[use_case] = answer

    seen = []
    for address in (path, by_route):
        with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
            async with edge.client(headers=headers | SAME_ID) as client:
                response = await client.request(method, address)
        for line in lines:
            line.pop("duration_ms", None)
        seen.append((response.status_code, response.content, sorted(response.headers.multi_items()), lines))

    assert seen[0] == seen[1]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_written_as_one_likes(edge: Edge, scheme: str) -> None:
    edge.answers["get_video"] = VideoReport(video(), None)
    token = authorised()["Authorization"].removeprefix("Bearer ")

    async with edge.client(headers={"Authorization": f"{scheme} {token}"}) as client:
        assert (await client.get(VIDEO)).status_code == 200


async def test_a_parameter_that_means_nothing_is_refused(edge: Edge) -> None:
    edge.answers["get_video"] = VideoReport(video(), None)

    async with edge.client() as client:
        assert_problem(await client.get(f"{VIDEO}?fields=id"), 422, "request_invalid", "fields")


@dataclass
class MovingClock:
    time: datetime = NOW

    def now(self) -> datetime:
        return self.time


async def test_the_speed_of_a_running_job_is_that_of_now_whoever_asked_before(edge: Edge) -> None:
    edge.answers["get_job"] = running(frames_done=30, frames_total=60, started_s_ago=1)
    clock = MovingClock()

    async with edge.client(clock=clock) as client:
        first = (await client.get(JOB)).json()["progress"]["frames_per_second"]
        clock.time += timedelta(seconds=1)
        second = (await client.get(JOB)).json()["progress"]["frames_per_second"]

    assert (first, second) == (30.0, 15.0)


async def test_each_report_is_shown_as_it_is(edge: Edge) -> None:
    async with edge.client() as client:
        for title in ("One", "Two"):
            edge.answers["get_video"] = VideoReport(video(title=title), None)
            assert [(await client.get(VIDEO)).json()["title"] for _ in range(2)] == [title] * 2
        edge.answers["get_video"] = replace(edge.answers["get_video"], job=running(1, 2, 3))
        assert (await client.get(VIDEO)).json()["job"]["id"] == str(JOB_ID)
