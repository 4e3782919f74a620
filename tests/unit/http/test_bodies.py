"""Each route declares how large a request body may be, and refuses what is larger before and while it is read."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from tests.unit.http.edge import Edge, Raising, assert_problem, authorised
from tests.unit.http.samples import JOB_ID, NO_PROGRESS, VIDEO_ID, job, video
from vidintel.application.ports import JobReport, VideoReport
from vidintel.presentation.http.app import create_app
from vidintel.presentation.http.bodies import FORM_WITH_VIDEO, JSON_BODY, NO_BODY
from vidintel.presentation.http.routing import Route
from vidintel.settings.model import LimitSettings

VIDEO = f"/api/v1/videos/{VIDEO_ID}"
JSON = authorised() | {"Content-Type": "application/json"}


def routes() -> Iterator[Route]:
    """Every route but the static files, which are never asked with a body."""
    for each in iter_route_contexts(create_app(Edge().services()).routes):
        route = each.original_route
        if not isinstance(route, Mount):
            assert isinstance(route, Route), each.path
            yield route


def test_every_route_has_the_limit_of_its_kind() -> None:
    for route in routes():
        assert route.methods is not None
        limit = route.admission.body
        if route.methods <= {"GET", "HEAD", "DELETE"}:
            assert limit is NO_BODY, route.path
        else:
            assert limit is (FORM_WITH_VIDEO if route.name == "register_video" else JSON_BODY), route.path


def test_the_limits_are_those_of_the_settings_at_the_moment() -> None:
    limits = LimitSettings(max_body_bytes=10, max_upload_bytes=20)

    assert [limit.max_bytes(limits) for limit in (NO_BODY, JSON_BODY, FORM_WITH_VIDEO)] == [0, 10, 20]


async def test_a_body_of_the_allowed_size_is_read(edge: Edge) -> None:
    body = b'{"sample_fps": 2}'
    edge.limits = LimitSettings(max_body_bytes=len(body))
    edge.answers["request_analysis"] = JobReport(job(), NO_PROGRESS)

    async with edge.client(headers=JSON) as client:
        assert (await client.post(f"{VIDEO}/jobs", content=body)).status_code == 202
        assert (await client.post(f"{VIDEO}/jobs", content=chunked(body))).status_code == 202


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=b", "text/plain"])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_larger_body_is_refused_announced_or_not(edge: Edge, content_type: str, announced: bool) -> None:
    edge.limits = LimitSettings(max_body_bytes=100)
    body = b'{"sample_fps": 2}' + b" " * 100

    async with edge.client(headers=authorised() | {"Content-Type": content_type}) as client:
        response = await client.post(f"{VIDEO}/jobs", content=body if announced else chunked(body))

    assert_problem(response, 413, "payload_too_large")
    assert response.json()["detail"] == "The request body is larger than the limit of 100 bytes."
    assert edge.calls == []


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", VIDEO),
        ("GET", f"/api/v1/jobs/{JOB_ID}"),
        ("GET", "/api/v1/videos"),
        ("DELETE", VIDEO),
        ("GET", "/health"),
    ],
)
async def test_a_request_that_takes_no_body_is_refused_with_one(
    edge: Edge, method: str, path: str, announced: bool
) -> None:
    async with edge.client() as client:
        response = await client.request(method, path, content=b"{}" if announced else chunked(b"{}"))

    assert_problem(response, 413, "payload_too_large")
    assert edge.calls == []


async def test_an_empty_body_is_none(edge: Edge) -> None:
    edge.answers |= {"get_video": VideoReport(video(), None), "delete_video": None}

    async with edge.client(headers=JSON | {"Content-Length": "0"}) as client:
        assert (await client.get(VIDEO)).status_code == 200
        assert (await client.delete(VIDEO)).status_code == 204


@pytest.mark.parametrize(("method", "path"), [("POST", f"{VIDEO}/jobs"), ("PATCH", VIDEO), ("POST", "/api/v1/videos")])
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 401, "authentication_required"), (JSON | {"Content-Length": str(2**60)}, 413, "payload_too_large")],
)
async def test_a_request_that_is_not_admitted_is_answered_before_its_body_is_read(
    edge: Edge, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with edge.client(headers=headers) as client:
        response = await client.request(method, path, content=Raising(AssertionError("the body was read")))

    assert_problem(response, status, code)


async def chunked(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 10):
        yield body[start : start + 10]
