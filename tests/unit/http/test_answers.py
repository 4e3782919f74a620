"""Detections, results, pictures, models, and who asks."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from tests.unit.application.test_finishing import registered, scripted, seen_at
from tests.unit.application.world import World, principal, value_of
from tests.unit.http.edge import EDITOR, Edge, authorised
from tests.unit.http.samples import JOB_ID, SHA256, VIDEO_ID, job
from vidintel.application.ports import DetectionFilter, DetectionRow, ModelInfo, Page
from vidintel.application.queries.detections import DetectionPage
from vidintel.application.queries.results import GetResults, VideoResults
from vidintel.domain.analytics import MinimumTrack
from vidintel.domain.detection import BoundingBox, Detection
from vidintel.domain.identity import PERMISSIONS, Principal, Role, TenantId, UserId
from vidintel.domain.results import JobSummary
from vidintel.infrastructure.database.repositories.documents import results_of_documents
from vidintel.presentation.http.schemas.results import ResultsBody

VIDEO = f"/api/v1/videos/{VIDEO_ID}"
ROW = DetectionRow(12, 0.48, "car", 0.91, BoundingBox(0.1, 0.2, 0.3, 0.4), None)


async def test_a_detection_says_what_where_and_when(edge: Edge) -> None:
    edge.answers["list_detections"] = DetectionPage(job(), None, [ROW], "next")

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/detections")

    assert response.json() == {
        "job_id": str(JOB_ID),
        "job_status": "queued",
        "items": [
            {
                "frame": 12,
                "time_s": 0.48,
                "captured_at": None,
                "label": "car",
                "confidence": 0.91,
                "box": {"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4},
                "track_id": None,
                "reused": False,
            }
        ],
        "next_cursor": "next",
    }


async def test_the_wall_clock_of_a_detection_is_that_of_the_video_and_its_time(edge: Edge) -> None:
    edge.answers["list_detections"] = DetectionPage(job(), datetime(2026, 5, 1, 6, tzinfo=UTC), [ROW], None)

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/detections")

    assert response.json()["items"][0]["captured_at"] == "2026-05-01T06:00:00.480000Z"


@pytest.mark.parametrize(
    ("query", "job_id", "filter_", "page"),
    [
        ("", None, DetectionFilter(), Page(100, None)),
        (
            f"?label=car&min_confidence=0.5&from_s=1&to_s=2.5&job_id={JOB_ID}&limit=1000&cursor=abc",
            JOB_ID,
            DetectionFilter("car", 0.5, 1.0, 2.5),
            Page(1000, "abc"),
        ),
        ("?min_confidence=0&from_s=0", None, DetectionFilter(min_confidence=0.0, from_s=0.0), Page(100, None)),
        ("?label=caf%C3%A9%20chair", None, DetectionFilter("café chair"), Page(100, None)),
    ],
)
async def test_detections_are_filtered(
    edge: Edge, query: str, job_id: object, filter_: DetectionFilter, page: Page
) -> None:
    edge.answers["list_detections"] = DetectionPage(job(), None, [], None)

    async with edge.client() as client:
        await client.get(f"{VIDEO}/detections{query}")

    assert edge.called("list_detections") == (EDITOR, VIDEO_ID, job_id, filter_, page)


async def test_results_come_by_kind_with_the_job_and_model_that_made_them(edge: Edge) -> None:
    (example,) = ResultsBody.model_json_schema()["examples"]
    found = results_of_documents(
        {"summary": example["results"]["summary"], "timeline": example["results"]["timeline"]}
        | {"snapshots": example["results"]["evidence"]}
    )
    assert found.summary is not None
    edge.answers["get_results"] = VideoResults(job(), found.summary, found.timeline, found.snapshots)

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/results?job_id={JOB_ID}")

    assert edge.called("get_results") == (EDITOR, VIDEO_ID, JOB_ID)
    assert response.json() == {
        "video_id": str(VIDEO_ID),
        "job_id": str(JOB_ID),
        "model": {"name": "traffic", "version": "1", "sha256": SHA256},
        "results": example["results"],
    }


@pytest.mark.parametrize("scene", [seen_at, lambda _time_s: []], ids=["much", "nothing"])
async def test_what_a_job_finds_is_answered_whole(scene: Callable[[float], Iterable[Detection]]) -> None:
    world = World(media=scripted(scene), segment_s=3.0)
    job = await registered(world)
    await world.work_off(rounds=50)
    found = value_of(await GetResults(world.database.unit_of_work)(principal(), job.video_id, None))

    answered = ResultsBody.of(found).model_dump(mode="json")

    parts = {"summary": found.summary, "timeline": found.timeline, "evidence": found.snapshots}
    assert answered["results"] == json.loads(json.dumps({kind: asdict(part) for kind, part in parts.items() if part}))
    assert all(parts.values())


async def test_kinds_of_results_that_a_job_does_not_have_are_null(edge: Edge) -> None:
    summary = JobSummary(
        frames_analysed=3,
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
    edge.answers["get_results"] = VideoResults(job(), summary, None, None)

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/results")

    results = response.json()["results"]
    assert (results["timeline"], results["evidence"]) == (None, None)
    assert (results["summary"]["busiest"], results["summary"]["labels"]) == (None, {})


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("0.jpg", (0.0, False, None)),
        ("1.5.jpg", (1.5, False, None)),
        (f"12.040.jpg?boxes=true&job_id={JOB_ID}", (12.04, True, JOB_ID)),
    ],
)
async def test_a_frame_is_a_picture(edge: Edge, path: str, arguments: tuple[object, ...]) -> None:
    edge.answers["render_frame"] = b"\xff\xd8jpeg"

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/frames/{path}")

    assert (response.content, response.headers["content-type"]) == (b"\xff\xd8jpeg", "image/jpeg")
    assert edge.called("render_frame") == (EDITOR, VIDEO_ID, *arguments)


async def test_models_say_what_they_know(edge: Edge) -> None:
    edge.answers["list_models"] = [
        ModelInfo("traffic", "1", "openvino", ("car", "truck"), (384, 640), "Apache-2.0", SHA256, "Top views.")
    ]

    async with edge.client() as client:
        (model,) = (await client.get("/api/v1/models")).json()["items"]

    assert model == {
        "name": "traffic",
        "version": "1",
        "runtime": "openvino",
        "labels": ["car", "truck"],
        "input_size": {"height": 384, "width": 640},
        "licence": "Apache-2.0",
        "sha256": SHA256,
        "description": "Top views.",
    }


@pytest.mark.parametrize("role", Role)
async def test_me_says_who_i_am_and_what_i_may_do(edge: Edge, role: Role) -> None:
    principal = Principal(UserId("user_bob"), TenantId("org_other"), role)

    async with edge.client(authorised(principal)) as client:
        body = (await client.get("/api/v1/me")).json()

    assert body == {
        "user": "user_bob",
        "tenant": "org_other",
        "role": role.value,
        "permissions": sorted(PERMISSIONS[role]),
    }
