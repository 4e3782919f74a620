"""Jobs over HTTP: what a job looks like, how far it is, and what can be done with it."""

from typing import Any

import pytest

from tests.unit.http.edge import EDITOR, Edge, ago, assert_problem
from tests.unit.http.samples import JOB_ID, NO_PROGRESS, SHA256, VIDEO_ID, job, running
from vidintel.application.jobs.requests import JobPage
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.ports import JobProgress, JobReport, Page
from vidintel.domain.analysis import AnalysisSpec, JobStage, JobStatus
from vidintel.domain.geometry import Line, Point, Zone

URL = f"/api/v1/jobs/{JOB_ID}"
OF_VIDEO = f"/api/v1/videos/{VIDEO_ID}/jobs"
HALF = JobProgress(segments_total=4, segments_done=2, frames_total=100, frames_done=50)


async def test_a_job_shows_what_it_runs_and_how_far_it_is(edge: Edge) -> None:
    edge.answers["get_job"] = running(frames_done=45, frames_total=60, started_s_ago=1.5)

    async with edge.client() as client:
        response = await client.get(URL)

    assert edge.called("get_job") == (EDITOR, JOB_ID)
    assert response.json() == {
        "id": str(JOB_ID),
        "video_id": str(VIDEO_ID),
        "status": "running",
        "stage": "analyse",
        "spec": {
            "model": "traffic",
            "sample_fps": 5.0,
            "labels": None,
            "min_confidence": 0.25,
            "iou_threshold": 0.7,
            "track_confidence": 0.6,
            "lines": [],
            "zones": [],
            "reuse_similar": False,
        },
        "model": {"name": "traffic", "version": "1", "sha256": SHA256},
        "progress": {
            "segments_total": 2,
            "segments_done": 1,
            "frames_total": 60,
            "frames_done": 45,
            "ratio": 0.75,
            "frames_per_second": 30.0,
            "eta_s": 0.5,
        },
        "error": None,
        "created_at": "2026-05-01T08:00:00Z",
        "started_at": "2026-05-01T08:00:08.500000Z",
        "finished_at": None,
    }


PROGRESS: dict[str, tuple[JobReport, tuple[float, float | None, float | None]]] = {
    "queued": (JobReport(job(), NO_PROGRESS), (0.0, None, None)),
    "planned, nothing done": (running(0, 60, 2), (0.0, None, None)),
    "started this instant": (running(1, 60, 0), (1 / 60, None, None)),
    "running": (running(30, 60, 2), (0.5, 15.0, 2.0)),
    "more done than planned": (running(61, 60, 2), (1.0, 30.5, 0.0)),
    "succeeded without a frame": (
        JobReport(job(status=JobStatus.SUCCEEDED, started_at=ago(5), finished_at=ago(3)), NO_PROGRESS),
        (1.0, None, None),
    ),
    "failed half way": (
        JobReport(job(status=JobStatus.FAILED, started_at=ago(9), finished_at=ago(4)), HALF),
        (0.5, 10.0, None),
    ),
    "cancelled before it began": (
        JobReport(job(status=JobStatus.CANCELLED, started_at=None, finished_at=ago(4)), HALF),
        (0.5, None, None),
    ),
}


@pytest.mark.parametrize(("report", "expected"), PROGRESS.values(), ids=PROGRESS.keys())
async def test_ratio_speed_and_time_to_go_are_null_while_unknown(
    edge: Edge, report: JobReport, expected: tuple[float, float | None, float | None]
) -> None:
    edge.answers["get_job"] = report

    async with edge.client() as client:
        progress = (await client.get(URL)).json()["progress"]

    assert (progress["ratio"], progress["frames_per_second"], progress["eta_s"]) == expected


async def test_a_failed_job_tells_why_and_a_native_spec_says_native(edge: Edge) -> None:
    failed = job(
        status=JobStatus.FAILED,
        stage=JobStage.PLAN,
        spec=AnalysisSpec("traffic", sample_fps=None, labels=("car",)),
    )
    edge.answers["get_job"] = JobReport(failed, NO_PROGRESS)

    async with edge.client() as client:
        body = (await client.get(URL)).json()

    assert body["error"] == {"code": "no_frames", "detail": "No frame."}
    assert (body["spec"]["sample_fps"], body["spec"]["labels"]) == ("native", ["car"])


@pytest.mark.parametrize(("action", "use_case", "status"), [("cancel", "cancel_job", 200), ("retry", "retry_job", 202)])
async def test_a_job_can_be_cancelled_and_retried(edge: Edge, action: str, use_case: str, status: int) -> None:
    edge.answers[use_case] = JobReport(job(), HALF)

    async with edge.client() as client:
        response = await client.post(f"{URL}/{action}")

    assert (response.status_code, response.json()["id"]) == (status, str(JOB_ID))
    assert edge.called(use_case) == (EDITOR, JOB_ID)


async def test_the_jobs_of_a_video_are_listed_without_their_progress(edge: Edge) -> None:
    edge.answers["list_jobs"] = JobPage([job(), job()], None)

    async with edge.client() as client:
        response = await client.get(f"{OF_VIDEO}?limit=2&cursor=abc")

    assert edge.called("list_jobs") == (EDITOR, VIDEO_ID, Page(2, "abc"))
    assert [item["progress"] for item in response.json()["items"]] == [None, None]
    assert response.json()["next_cursor"] is None


LINE = {"name": "gate", "start": {"x": 0, "y": 0.5}, "end": {"x": 1, "y": 0.5}}
ZONE = {"name": "kerb", "points": [{"x": 0.1, "y": 0.1}, {"x": 0.2, "y": 0.1}, {"x": 0.2, "y": 0.3}]}
A_LINE = Line("gate", Point(0, 0.5), Point(1, 0.5))
A_ZONE = Zone("kerb", (Point(0.1, 0.1), Point(0.2, 0.1), Point(0.2, 0.3)))


async def test_lines_and_zones_are_shown_as_they_were_asked_for(edge: Edge) -> None:
    spec = AnalysisSpec("traffic", lines=(A_LINE,), zones=(A_ZONE,))
    edge.answers["get_job"] = JobReport(job(spec=spec), NO_PROGRESS)

    async with edge.client() as client:
        shown = (await client.get(URL)).json()["spec"]

    assert (shown["lines"], shown["zones"]) == ([LINE], [ZONE])


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"lines": [LINE, LINE | {"end": LINE["start"]}]}, "spec.lines.1"),
        ({"lines": [LINE | {"end": {"x": 1.01, "y": 0.5}}]}, "spec.lines.0"),
        ({"lines": [LINE | {"name": ""}]}, "spec.lines.0"),
        ({"lines": [LINE | {"name": "a\x00b"}]}, "spec.lines.0"),
        ({"zones": [ZONE | {"points": []}]}, "spec.zones.0"),
        ({"zones": [ZONE | {"points": [{"x": at, "y": at} for at in (0, 0.5, 1)]}]}, "spec.zones.0"),
        (
            {"zones": [ZONE | {"points": [{"x": x, "y": y} for x, y in ((0, 0), (1, 1), (1, 0), (0, 1))]}]},
            "spec.zones.0",
        ),
    ],
)
async def test_a_line_or_zone_that_is_none_is_refused_by_its_place(
    edge: Edge, spec: dict[str, Any], field: str
) -> None:
    async with edge.client() as client:
        assert_problem(await client.post(OF_VIDEO, json=spec), 400, "validation_failed", field)
    assert edge.calls == []


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        ({}, SpecRequest()),
        ({"json": {}}, SpecRequest()),
        ({"json": {"sample_fps": "native"}}, SpecRequest(sample_fps="native")),
        (
            {"json": {"model": "m", "sample_fps": 2, "labels": ["a", "b"], "min_confidence": 0.5, "iou_threshold": 1}},
            SpecRequest("m", 2.0, ("a", "b"), 0.5, 1.0),
        ),
        ({"json": {"lines": [LINE], "zones": [ZONE]}}, SpecRequest(lines=(A_LINE,), zones=(A_ZONE,))),
        # What the values may be is for the domain to say.
        ({"json": {"sample_fps": -1, "labels": []}}, SpecRequest(sample_fps=-1.0, labels=())),
    ],
)
async def test_another_analysis_can_be_asked_for(edge: Edge, request_: dict[str, Any], wanted: SpecRequest) -> None:
    edge.answers["request_analysis"] = JobReport(job(), NO_PROGRESS)

    async with edge.client() as client:
        response = await client.post(OF_VIDEO, **request_)

    assert response.status_code == 202
    assert response.headers["location"] == URL
    assert edge.called("request_analysis") == (EDITOR, VIDEO_ID, wanted)
