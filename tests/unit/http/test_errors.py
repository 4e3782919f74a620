"""Every error has a status, and every answer that is an error is a problem document."""

import inspect
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tests.unit.http.edge import Edge, assert_problem, statuses_of_documented_routes
from tests.unit.http.samples import JOB_ID, VIDEO_ID, video
from vidintel.domain import errors
from vidintel.domain.errors import DomainError
from vidintel.presentation.http.errors import STATUS, FieldError, MalformedForm, RequestInvalid, status_of

VIDEO = f"/api/v1/videos/{VIDEO_ID}"
JOB = f"/api/v1/jobs/{JOB_ID}"


def kinds_below(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for below in kind.__subclasses__():
        yield below
        yield from kinds_below(below)


@pytest.mark.parametrize("kind", sorted(set(kinds_below(DomainError)), key=str))
def test_every_domain_error_has_a_status(kind: type[DomainError]) -> None:
    assert any(ancestor in STATUS for ancestor in kind.__mro__)


def test_every_domain_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in kinds_below(DomainError)]

    assert len(codes) == len(set(codes))


EXAMPLES: list[tuple[DomainError, int]] = [
    (errors.ValidationError("x", field="title"), 400),
    (MalformedForm("x"), 400),
    (errors.AuthenticationError("x"), 401),
    (errors.AuthorizationError("x"), 403),
    (errors.VideoNotFound("x"), 404),
    (errors.JobNotFound("x"), 404),
    (errors.ResultNotFound("x"), 404),
    (errors.FrameNotFound("x"), 404),
    (errors.UploadNotFound(), 404),
    (errors.InvalidTransition("job", "a", "b"), 409),
    (errors.JobAlreadyActive(), 409),
    (errors.LeaseLost(), 409),
    (errors.UploadOffsetMismatch(1, 2), 409),
    (errors.UploadInUse(), 409),
    (errors.PayloadTooLarge(1), 413),
    (errors.EmptyFile(), 415),
    (errors.NotAVideo(), 415),
    (errors.NoVideoStream(), 415),
    (RequestInvalid([FieldError("a", "b")]), 422),
    (errors.UnknownModel("x", ()), 422),
    (errors.UnknownLabel("x", "y", ()), 422),
    (errors.UnreadableVideo("x"), 422),
    (errors.RateLimited("x", retry_after_s=1), 429),
    (errors.StorageError("x"), 502),
    (errors.ServiceUnavailable("x"), 503),
    (errors.StorageFull(), 503),
]


@pytest.mark.parametrize(("error", "status"), EXAMPLES, ids=lambda value: getattr(value, "code", value))
async def test_an_error_of_a_use_case_is_answered_as_a_problem(edge: Edge, error: DomainError, status: int) -> None:
    edge.answers["get_video"] = error

    async with edge.client() as client:
        response = await client.get(VIDEO)

    assert status_of(error) == status
    at_fault = [error.field] if isinstance(error, errors.ValidationError) and error.field else []
    at_fault += [item.field for item in error.errors] if isinstance(error, RequestInvalid) else []
    assert_problem(response, status, error.code, *at_fault)
    assert response.json()["detail"] == error.detail


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.RateLimited("x", retry_after_s=0.2), "1"),
        (errors.ServiceUnavailable("x", retry_after_s=6.1), "7"),
        (errors.StorageFull(), "300"),
    ],
)
async def test_who_shall_come_later_is_told_when(edge: Edge, error: DomainError, seconds: str) -> None:
    edge.answers["get_video"] = error

    async with edge.client() as client:
        assert (await client.get(VIDEO)).headers["retry-after"] == seconds


async def test_the_unexpected_says_nothing_but_is_logged_under_its_correlation_id(edge: Edge) -> None:
    edge.answers["get_video"] = RuntimeError("password=hunter2")

    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        async with edge.client() as client:
            response = await client.get(VIDEO)

    assert_problem(response, 500, "internal_error")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    (line,) = [line for line in lines if line["event"] == "request.failed"]
    assert line["exc_info"]
    assert line["request_id"] == response.json()["correlation_id"]


async def test_an_answer_that_breaks_off_is_not_completed_with_a_problem(edge: Edge) -> None:
    class Breaking:
        size_bytes, sha256, media = 10, "ab" * 32, None

        async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
            yield b"12345"
            raise errors.StorageError("gone")

        async def link(self, *, media_type: str, file_name: str) -> str | None:
            return None

    edge.answers["open_content"] = Breaking()

    async with edge.client() as client:
        with pytest.raises(RuntimeError, match="response already started"):
            await client.get(f"{VIDEO}/content")


BAD_REQUESTS: list[tuple[str, str, dict[str, object], int, str, tuple[str, ...]]] = [
    ("GET", "/nowhere", {}, 404, "route_not_found", ()),
    ("GET", "/api/v1/nowhere", {}, 404, "route_not_found", ()),
    ("GET", "/api/v1/videos/", {}, 404, "route_not_found", ()),
    ("DELETE", "/api/v1/videos", {}, 405, "method_not_allowed", ()),
    ("PUT", VIDEO, {}, 405, "method_not_allowed", ()),
    ("GET", f"{JOB}/cancel", {}, 405, "method_not_allowed", ()),
    ("GET", "/api/v1/videos/abc", {}, 404, "video_not_found", ()),
    ("GET", "/api/v1/videos/%00", {}, 404, "video_not_found", ()),
    ("GET", f"/api/v1/videos/{VIDEO_ID.hex}", {}, 404, "video_not_found", ()),
    ("GET", f"/api/v1/videos/{{{VIDEO_ID}}}", {}, 404, "video_not_found", ()),
    ("GET", f"/api/v1/videos/urn:uuid:{VIDEO_ID}", {}, 404, "video_not_found", ()),
    ("GET", "/api/v1/videos/abc/content", {}, 404, "video_not_found", ()),
    ("GET", "/api/v1/videos/abc/detections", {}, 404, "video_not_found", ()),
    ("POST", "/api/v1/videos/abc/jobs", {}, 404, "video_not_found", ()),
    ("GET", "/api/v1/jobs/abc", {}, 404, "job_not_found", ()),
    ("POST", "/api/v1/jobs/abc/cancel", {}, 404, "job_not_found", ()),
    ("POST", "/api/v1/jobs/abc/retry", {}, 404, "job_not_found", ()),
    ("GET", "/api/v1/videos?limit=0", {}, 422, "request_invalid", ("limit",)),
    ("GET", "/api/v1/videos?limit=101", {}, 422, "request_invalid", ("limit",)),
    ("GET", "/api/v1/videos?limit=many", {}, 422, "request_invalid", ("limit",)),
    ("GET", "/api/v1/videos?status=lost&limit=0", {}, 422, "request_invalid", ("limit", "status")),
    ("GET", f"/api/v1/videos?cursor={'x' * 513}", {}, 422, "request_invalid", ("cursor",)),
    ("GET", f"{VIDEO}/detections?limit=1001", {}, 422, "request_invalid", ("limit",)),
    ("GET", f"{VIDEO}/detections?min_confidence=1.1", {}, 422, "request_invalid", ("min_confidence",)),
    ("GET", f"{VIDEO}/detections?min_confidence=nan", {}, 422, "request_invalid", ("min_confidence",)),
    ("GET", f"{VIDEO}/detections?from_s=-1&to_s=inf", {}, 422, "request_invalid", ("from_s", "to_s")),
    ("GET", f"{VIDEO}/detections?label=", {}, 422, "request_invalid", ("label",)),
    ("GET", f"{VIDEO}/detections?label=%00", {}, 422, "request_invalid", ("label",)),
    ("GET", f"{VIDEO}/detections?job_id=abc", {}, 422, "request_invalid", ("job_id",)),
    ("GET", f"{VIDEO}/tracks?min_duration_s=-1", {}, 422, "request_invalid", ("min_duration_s",)),
    ("GET", f"{VIDEO}/tracks?limit=0&label=%00", {}, 422, "request_invalid", ("label", "limit")),
    ("GET", f"{VIDEO}/frames/-1.jpg", {}, 422, "request_invalid", ("seconds",)),
    ("GET", f"{VIDEO}/frames/nan.jpg", {}, 422, "request_invalid", ("seconds",)),
    ("GET", f"{VIDEO}/frames/1e3.jpg", {}, 422, "request_invalid", ("seconds",)),
    ("GET", f"{VIDEO}/frames/{'9' * 400}.jpg", {}, 422, "request_invalid", ("seconds",)),
    ("GET", f"{VIDEO}/frames/1.jpg?boxes=perhaps", {}, 422, "request_invalid", ("boxes",)),
    ("PATCH", VIDEO, {"content": b"{"}, 422, "request_invalid", ("body",)),
    ("PATCH", VIDEO, {"content": b"\xff"}, 400, "bad_request", ()),
    ("PATCH", VIDEO, {"json": []}, 422, "request_invalid", ("body",)),
    ("PATCH", VIDEO, {"json": {"status": "completed"}}, 422, "request_invalid", ("status",)),
    ("PATCH", VIDEO, {"json": {"title": 7}}, 422, "request_invalid", ("title",)),
    ("PATCH", VIDEO, {"json": {"camera_id": 7}}, 422, "request_invalid", ("camera_id",)),
    ("PATCH", VIDEO, {"json": {"camera_id": ""}}, 400, "validation_failed", ("camera_id",)),
    ("GET", "/api/v1/videos?camera_id=", {}, 422, "request_invalid", ("camera_id",)),
    ("GET", "/api/v1/videos?camera_id=gate%00", {}, 400, "validation_failed", ("camera_id",)),
    ("PATCH", VIDEO, {"json": {"captured_at": 0}}, 422, "request_invalid", ("captured_at",)),
    ("PATCH", VIDEO, {"json": {"captured_at": "1600000000"}}, 422, "request_invalid", ("captured_at",)),
    ("PATCH", VIDEO, {"json": {"captured_at": "1600000000.5"}}, 422, "request_invalid", ("captured_at",)),
    ("PATCH", VIDEO, {"json": {"captured_at": "yesterday"}}, 422, "request_invalid", ("captured_at",)),
    ("POST", f"{VIDEO}/jobs", {"json": {"sample_fps": "fast"}}, 422, "request_invalid", ()),
    ("POST", f"{VIDEO}/jobs", {"json": {"min_confidence": "0.5"}}, 422, "request_invalid", ("min_confidence",)),
    ("POST", f"{VIDEO}/jobs", {"json": {"speed": 1}}, 422, "request_invalid", ("speed",)),
    ("POST", f"{VIDEO}/jobs", {"json": {"lines": [{}] * 101}}, 422, "request_invalid", ("lines",)),
    (
        "POST",
        f"{VIDEO}/jobs",
        {"json": {"zones": [{"name": "z", "points": [{"x": "1", "y": 0}]}]}},
        422,
        "request_invalid",
        ("zones.0.points.0.x",),
    ),
    ("POST", f"{VIDEO}/jobs", {"content": b'{"min_confidence": NaN}'}, 422, "request_invalid", ("min_confidence",)),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "at_fault"), BAD_REQUESTS)
async def test_a_bad_request_gets_a_problem_that_names_what_is_wrong(
    edge: Edge, method: str, path: str, body: dict[str, object], status: int, code: str, at_fault: tuple[str, ...]
) -> None:
    headers = {"Content-Type": "application/json"} if "content" in body else {}

    async with edge.client() as client:
        response = await client.request(method, path, headers=headers, **body)  # type: ignore[arg-type]  # a table

    if at_fault or code != "request_invalid":
        assert_problem(response, status, code, *at_fault)
    else:
        assert (response.status_code, response.json()["code"]) == (status, code)
    assert edge.calls == []


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/videos", "GET, HEAD, POST"),
        (VIDEO, "DELETE, GET, HEAD, PATCH"),
        (f"{VIDEO}/jobs", "GET, HEAD, POST"),
        (f"{JOB}/cancel", "POST"),
        ("/health", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/docs/static/redoc.js", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(edge: Edge, path: str, methods: str) -> None:
    async with edge.client() as client:
        assert (await client.put(path)).headers["allow"] == methods


async def test_what_was_sent_is_not_repeated(edge: Edge) -> None:
    async with edge.client() as client:
        response = await client.patch(VIDEO, json={"captured_at": "hunter2", "title": ["hunter2"]})

    assert response.status_code == 422
    assert "hunter2" not in response.text


def test_the_tables_see_every_error_of_the_domain() -> None:
    declared = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, DomainError)}

    assert declared - set(kinds_below(DomainError)) == {DomainError}


async def test_an_id_in_capitals_is_the_same_id(edge: Edge) -> None:
    edge.answers["update_video"] = video()

    async with edge.client() as client:
        response = await client.patch(f"/api/v1/videos/{str(VIDEO_ID).upper()}", json={})

    assert response.status_code == 200
    assert edge.called("update_video")[1] == VIDEO_ID


async def test_a_misspelt_or_repeated_parameter_is_named_and_nothing_is_asked(edge: Edge) -> None:
    """It would be left out, and the numbers be those of another question."""
    async with edge.client() as client:
        response = await client.get(
            f"/api/v1/videos/{VIDEO_ID}/detections?min_confidance=0.9&label=car&label=truck&limit=5"
        )

    assert_problem(response, 422, "request_invalid", "min_confidance", "label")
    assert edge.calls == []


async def test_no_documented_route_takes_a_parameter_it_does_not_know(edge: Edge) -> None:
    async with edge.client() as client:
        statuses = await statuses_of_documented_routes(client, params={"no_such": "1"})

    assert len(statuses) >= 20
    assert set(statuses.values()) == {422}, statuses
    assert edge.calls == []
