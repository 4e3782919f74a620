"""What is counted of requests, and who may read it."""

from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from tests.unit.http.edge import Edge, assert_problem
from tests.unit.http.samples import VIDEO_ID, video
from vidintel.application.ports import VideoReport
from vidintel.presentation.http.app import create_app
from vidintel.settings.model import HttpSettings, MetricsSettings

ROUTE = "/api/v1/videos/{video_id}"


def counted(edge: Edge) -> dict[tuple[str, str, str], float]:
    """Requests by method, route and status."""
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in edge.registry.collect()
        for sample in family.samples
        if sample.name == "vidintel_http_requests_total"
    }


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, (name, labels)
    return found


async def test_requests_are_counted_and_timed_by_route_and_not_by_address(edge: Edge) -> None:
    edge.answers["get_video"] = VideoReport(video(), None)

    async with edge.client() as client:
        await client.get(f"/api/v1/videos/{VIDEO_ID}")
        await client.get(f"/api/v1/videos/{uuid4()}")

    assert counted(edge) == {("GET", ROUTE, "200"): 2}
    assert value(edge.registry, "vidintel_http_request_duration_seconds_count", method="GET", route=ROUTE) == 2
    assert value(edge.registry, "vidintel_http_requests_in_progress") == 0


async def test_whatever_strangers_ask_for_makes_no_series_of_its_own(edge: Edge) -> None:
    async with edge.client(headers={}) as client:
        for number in range(5):
            await client.get(f"/{number}")
            await client.request(f"BREW{number}", "/health")

    assert counted(edge) == {("GET", "none", "404"): 5, ("other", "/health", "405"): 5}


async def test_what_nobody_expected_is_counted_as_a_server_error(edge: Edge) -> None:
    edge.answers["list_videos"] = RuntimeError("x")

    async with edge.client() as client:
        await client.get("/api/v1/videos")

    assert counted(edge) == {("GET", "/api/v1/videos", "500"): 1}
    assert value(edge.registry, "vidintel_http_requests_in_progress") == 0


async def test_prometheus_can_read_what_is_exposed(edge: Edge) -> None:
    async with edge.client(headers={}) as client:
        await client.get("/health")
        response = await client.get("/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name for family in text_string_to_metric_families(response.text)}
    assert {"vidintel_http_requests", "vidintel_work_attempts", "vidintel_lease_expiries"} <= families
    assert 'route="/health"' in response.text


@pytest.mark.parametrize("sent", ["Bearer hunter2", "Bearer ", "hunter2"])
async def test_with_a_token_only_who_has_it_reads_metrics_from_anywhere(edge: Edge, sent: str) -> None:
    edge.metrics = MetricsSettings(token=SecretStr("hunter2"))

    response = await asked(edge, "203.0.113.5", {"Authorization": sent})

    if sent == "Bearer hunter2":
        assert response.status_code == 200
    else:
        assert_problem(response, 401, "authentication_required")


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.5", {}, 401),
        ("10.0.0.7", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.5"}, 401),
        ("127.0.0.1", {"Forwarded": "for=203.0.113.5"}, 401),
    ],
)
async def test_without_a_token_only_this_machine_reads_metrics(
    edge: Edge, peer: str, headers: dict[str, str], status: int
) -> None:
    assert (await asked(edge, peer, headers)).status_code == status


async def test_requests_are_not_counted_when_settings_leave_that_out(edge: Edge) -> None:
    edge.http = HttpSettings(middleware=("request_id",))

    async with edge.client(headers={}) as client:
        await client.get("/health")

    assert counted(edge) == {}


async def asked(edge: Edge, peer: str, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(edge.services()), client=(peer, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://vidintel.test", headers=headers) as client:
        return await client.get("/metrics")
