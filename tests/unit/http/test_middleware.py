"""The pipeline around every request: its id, its log line, headers, origins."""

import pytest
import structlog

from tests.unit.http.edge import Edge, assert_problem, authorised
from tests.unit.http.samples import VIDEO_ID, job
from vidintel.application.queries.detections import DetectionPage
from vidintel.application.queries.readiness import ComponentHealth, Readiness
from vidintel.domain.errors import VideoNotFound
from vidintel.settings.model import HttpSettings

VIDEO = f"/api/v1/videos/{VIDEO_ID}"
ORIGIN = "https://app.example.com"


@pytest.mark.parametrize("sent", ["abc", "6f1d.A-b_c:1", "x" * 128])
async def test_a_sane_request_id_is_kept(edge: Edge, sent: str) -> None:
    async with edge.client() as client:
        response = await client.get("/nowhere", headers={"X-Request-ID": sent})

    assert_problem(response, 404, "route_not_found")
    assert response.json()["correlation_id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "<script>", "ä", 'a"b'])
async def test_any_other_request_id_is_replaced(edge: Edge, sent: str) -> None:
    async with edge.client() as client:
        response = await client.get("/nowhere", headers=[(b"X-Request-ID", sent.encode())])

    assert_problem(response, 404, "route_not_found")
    assert response.json()["correlation_id"] != sent


async def test_each_request_gets_an_id_of_its_own_and_only_one(edge: Edge) -> None:
    async with edge.client() as client:
        ids = [(await client.get("/health")).headers.get_list("x-request-id") for _ in range(3)]

    assert len({request_id for (request_id,) in ids}) == 3


async def test_a_request_is_one_line_in_the_log(edge: Edge) -> None:
    edge.answers["list_detections"] = DetectionPage(job(), None, [], None)

    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        async with edge.client() as client:
            response = await client.get(f"{VIDEO}/detections?label=hunter2", headers={"X-Request-ID": "abc"})

    (line,) = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request.completed",
        "log_level": "info",
        "method": "GET",
        "route": "/api/v1/videos/{video_id}/detections",
        "status": 200,
        "bytes": len(response.content),
        "tenant": "org_acme",
        "user": "user_alice",
        "video": str(VIDEO_ID),
        "request_id": "abc",
    }


async def test_health_checks_do_not_fill_the_log(edge: Edge) -> None:
    with structlog.testing.capture_logs() as lines:
        async with edge.client(headers={}) as client:
            await client.get("/health")

    assert [line["log_level"] for line in lines] == ["debug"]


@pytest.mark.parametrize("path", ["/health", "/nowhere", VIDEO, "/docs", "/redoc"])
async def test_every_answer_carries_security_headers(edge: Edge, path: str) -> None:
    edge.answers["get_video"] = VideoNotFound("x")

    async with edge.client() as client:
        headers = (await client.get(path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert len(headers.get_list("content-security-policy")) == 1
    assert "strict-transport-security" not in headers


async def test_a_server_error_carries_security_headers_too(edge: Edge) -> None:
    edge.answers["get_video"] = RuntimeError("x")

    async with edge.client() as client:
        response = await client.get(VIDEO)

    assert response.status_code == 500
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_transport_security_is_asked_for_over_https_only(edge: Edge) -> None:
    async with edge.client(scheme="https") as client:
        assert "max-age=" in (await client.get("/health")).headers["strict-transport-security"]


@pytest.mark.parametrize(("path", "expected"), [("/api/v1/me", "no-store"), ("/health", None)])
async def test_answers_of_the_api_are_not_kept(edge: Edge, path: str, expected: str | None) -> None:
    async with edge.client(headers=authorised() if path != "/health" else {}) as client:
        assert (await client.get(path)).headers.get("cache-control") == expected


async def test_only_named_origins_may_read_answers(edge: Edge) -> None:
    edge.http = HttpSettings(cors_origins=(ORIGIN,))

    async with edge.client() as client:
        ours = await client.get("/api/v1/me", headers={"Origin": ORIGIN})
        theirs = await client.get("/api/v1/me", headers={"Origin": "https://evil.example"})

    assert ours.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Request-ID" in ours.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in ours.headers
    assert "access-control-allow-origin" not in theirs.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "DELETE"])
async def test_a_named_origin_may_ask_first(edge: Edge, method: str) -> None:
    edge.http = HttpSettings(cors_origins=(ORIGIN,))
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization",
    }

    async with edge.client(headers={}) as client:
        response = await client.options(VIDEO, headers=asks)
        refused = await client.options(VIDEO, headers=asks | {"Origin": "https://evil.example"})

    assert response.status_code == 200
    assert method in response.headers["access-control-allow-methods"]
    assert refused.status_code == 400


async def test_only_the_middleware_that_settings_name_is_there(edge: Edge) -> None:
    edge.http = HttpSettings(middleware=("access_log",))

    with structlog.testing.capture_logs() as lines:
        async with edge.client() as client:
            response = await client.get("/nowhere")

    assert "x-request-id" not in response.headers
    assert "x-content-type-options" not in response.headers
    assert response.json()["correlation_id"]
    assert [line["event"] for line in lines] == ["request.completed"]


@pytest.mark.parametrize(
    ("storage", "status", "word"),
    [(ComponentHealth(ok=True), 200, "ok"), (ComponentHealth(ok=False, detail="StorageError"), 503, "unavailable")],
)
async def test_readiness_names_each_component(edge: Edge, storage: ComponentHealth, status: int, word: str) -> None:
    components = {"database": ComponentHealth(ok=True), "storage": storage}
    edge.answers["check_readiness"] = Readiness(components, {"s3": "closed"})

    async with edge.client(headers={}) as client:
        response = await client.get("/health/ready")

    assert response.status_code == status
    assert ("retry-after" in response.headers) == (status == 503)
    assert response.json() == {
        "status": word,
        "components": {
            "database": {"ok": True, "detail": None},
            "storage": {"ok": storage.ok, "detail": storage.detail},
        },
        "circuits": {"s3": "closed"},
    }


async def test_a_living_process_says_which_version_it_is(edge: Edge) -> None:
    async with edge.client(headers={}) as client:
        assert (await client.get("/health")).json() == {"status": "ok", "version": "1.2.3"}
