"""Who gets in: a bearer token in the header, and nothing else."""

import pytest
import structlog

from tests.contracts.token_verifier_contract import Issue, TokenVerifierContract
from tests.unit.http.edge import EDITOR, Edge, ReadableTokens, assert_problem, authorised, statuses_of_documented_routes
from tests.unit.http.samples import JOB_ID, VIDEO_ID

GOOD = ReadableTokens.token(EDITOR)
VIDEO = f"/api/v1/videos/{VIDEO_ID}"
JOB = f"/api/v1/jobs/{JOB_ID}"
ROUTES = [
    ("POST", "/api/v1/videos"),
    ("GET", "/api/v1/videos"),
    ("GET", VIDEO),
    ("PATCH", VIDEO),
    ("DELETE", VIDEO),
    ("GET", f"{VIDEO}/content"),
    ("GET", f"{VIDEO}/jobs"),
    ("POST", f"{VIDEO}/jobs"),
    ("GET", f"{VIDEO}/detections"),
    ("GET", f"{VIDEO}/results"),
    ("GET", f"{VIDEO}/frames/1.jpg"),
    ("GET", "/api/v1/videos/abc"),
    ("GET", "/api/v1/videos?limit=0"),
    ("GET", JOB),
    ("POST", f"{JOB}/cancel"),
    ("POST", f"{JOB}/retry"),
    ("GET", "/api/v1/models"),
    ("GET", "/api/v1/me"),
]


class TestReadableTokens(TokenVerifierContract):
    @pytest.fixture
    def verifier(self) -> ReadableTokens:
        return ReadableTokens()

    @pytest.fixture
    def issue(self) -> Issue:
        return ReadableTokens.token


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_of_the_api_wants_a_token(edge: Edge, method: str, path: str) -> None:
    async with edge.client(headers={}) as client:
        response = await client.request(method, path, json={} if method == "PATCH" else None)

    assert_problem(response, 401, "authentication_required")
    assert response.headers["www-authenticate"] == 'Bearer realm="vidintel"'
    assert edge.calls == []


async def test_every_documented_route_wants_a_token(edge: Edge) -> None:
    async with edge.client(headers={}) as client:
        statuses = await statuses_of_documented_routes(client)

    assert len(statuses) >= 20
    assert set(statuses.values()) == {401}, statuses
    assert edge.calls == []


@pytest.mark.parametrize(
    "sent",
    [
        "Bearer",
        "Bearer ",
        "Bearer bad",
        f"Basic {GOOD}",
        GOOD,
        f"Bearer {GOOD}1",
        f"Bearer {GOOD},{GOOD}",
        f"Token {GOOD}",
    ],
)
async def test_another_header_does_not_let_in(edge: Edge, sent: str) -> None:
    async with edge.client(headers={"Authorization": sent}) as client:
        response = await client.get("/api/v1/me")

    assert_problem(response, 401, "authentication_required")
    assert response.headers["www-authenticate"] == 'Bearer realm="vidintel", error="invalid_token"'
    assert GOOD not in response.text


@pytest.mark.parametrize("cookie", ["__session", "__session_abc", "token", "Authorization"])
async def test_a_cookie_does_not_let_in(edge: Edge, cookie: str) -> None:
    async with edge.client(headers={"Cookie": f"{cookie}={GOOD}"}) as client:
        assert_problem(await client.get("/api/v1/me"), 401, "authentication_required")


@pytest.mark.parametrize("name", ["token", "access_token", "__session"])
async def test_a_query_parameter_does_not_let_in(edge: Edge, name: str) -> None:
    async with edge.client(headers={}) as client:
        assert_problem(await client.get(f"/api/v1/me?{name}={GOOD}"), 401, "authentication_required")


async def test_the_scheme_may_be_written_in_any_case(edge: Edge) -> None:
    async with edge.client(headers={"Authorization": f"bearer {GOOD}"}) as client:
        assert (await client.get("/api/v1/me")).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/docs", "/redoc", "/openapi.json"])
async def test_health_and_documentation_want_no_token(edge: Edge, path: str) -> None:
    async with edge.client(headers={}) as client:
        assert (await client.get(path)).status_code == 200


async def test_the_caller_is_in_the_log_and_the_token_is_not(edge: Edge) -> None:
    with structlog.testing.capture_logs() as lines:
        async with edge.client(authorised()) as client:
            await client.get(f"/api/v1/me?access_token={GOOD}")

    assert (lines[-1]["tenant"], lines[-1]["user"]) == ("org_acme", "user_alice")
    assert GOOD not in repr(lines)
