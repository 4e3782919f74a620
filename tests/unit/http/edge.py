"""The HTTP edge on scripted use cases: what it hands them is recorded, what they answer is set by the test."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from prometheus_client import CollectorRegistry

from vidintel.application.ports import NoTracing, Tracing
from vidintel.application.result import Err, Ok
from vidintel.domain.errors import AuthenticationError, DomainError
from vidintel.domain.identity import Principal, Role, TenantId, UserId
from vidintel.infrastructure.observability.exposition import Exposition
from vidintel.infrastructure.observability.telemetry import PrometheusTelemetry
from vidintel.presentation.http.app import create_app
from vidintel.presentation.http.dependencies import HttpServices
from vidintel.presentation.http.lifecycle import Lifecycle
from vidintel.settings.model import HttpSettings, LimitSettings, MetricsSettings

NOW = datetime(2026, 5, 1, 8, 0, 10, tzinfo=UTC)
EDITOR = Principal(UserId("user_alice"), TenantId("org_acme"), Role.EDITOR)
_TOKEN = re.compile(r"good-([a-z]+)-(user_[a-z]+)-(org_[a-z]+)")


class ReadableTokens:
    """A verifier whose tokens are readable: ``good-editor-user_alice-org_acme``."""

    def verify(self, token: str) -> Principal:
        match = _TOKEN.fullmatch(token)
        if match is None or match[1] not in set(Role):
            raise AuthenticationError("This token is not good.")
        return Principal(UserId(match[2]), TenantId(match[3]), Role(match[1]))

    @staticmethod
    def token(principal: Principal) -> str:
        return f"good-{principal.role}-{principal.user_id}-{principal.tenant_id}"


class Raising:
    """An asynchronous iterator that gives nothing but an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __aiter__(self) -> "Raising":
        return self

    async def __anext__(self) -> bytes:
        raise self.error


class FixedClock:
    def now(self) -> datetime:
        return NOW


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@dataclass
class Edge:
    """Set ``answers[use_case]`` to a value, a `DomainError` or another exception; read ``calls``."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    http: HttpSettings = field(default_factory=HttpSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    tracing: Tracing = field(default_factory=NoTracing)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    def __post_init__(self) -> None:
        self.telemetry = PrometheusTelemetry(self.registry)
        self._exposition = Exposition(self.registry)

    def services(self, **replaced: Any) -> HttpServices:
        given: dict[str, Any] = {
            "verifier": ReadableTokens(),
            "clock": FixedClock(),
            "meter": self.telemetry,
            "tracing": self.tracing,
            "expose_metrics": self._exposition,
            "metrics": self.metrics,
            "http": self.http,
            "limits": lambda: self.limits,
            "version": "1.2.3",
            "lifecycle": self.lifecycle,
            "check_readiness": self._readiness,
        }
        scripted = {item.name: self._use_case(item.name) for item in fields(HttpServices) if item.name not in given}
        return HttpServices(**(scripted | given | replaced))

    def client(
        self, headers: Mapping[str, str] | None = None, *, scheme: str = "http", **replaced: Any
    ) -> httpx.AsyncClient:
        """Speaks to the application in this process, as an editor unless ``headers`` say otherwise."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(self.services(**replaced))),
            base_url=f"{scheme}://vidintel.test",
            headers=authorised() if headers is None else headers,
        )

    def called(self, use_case: str) -> tuple[Any, ...]:
        """The arguments of the only call of ``use_case``."""
        (arguments,) = [arguments for name, arguments in self.calls if name == use_case]
        return arguments

    def _use_case(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            answer = self.answers[name]
            if isinstance(answer, DomainError):
                return Err(answer)
            if isinstance(answer, Exception):
                raise answer
            return Ok(answer)

        return call

    async def _readiness(self) -> Any:
        return self.answers["check_readiness"]


async def statuses_of_documented_routes(client: httpx.AsyncClient, **asked: Any) -> dict[tuple[str, str], int]:
    """What every route of the API in `/openapi.json` answers, by method and path, to a request with ``asked``."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    return {
        (method, path): (await client.request(method, re.sub(r"\{\w+\}", str(uuid4()), path), **asked)).status_code
        for path, operations in paths.items()
        for method in operations
        if path.startswith("/api/")
    }


def authorised(principal: Principal = EDITOR) -> dict[str, str]:
    return {"Authorization": f"Bearer {ReadableTokens.token(principal)}"}


def assert_problem(response: httpx.Response, status: int, code: str, *fields_at_fault: str) -> None:
    """The answer is a complete problem document, and ties to the log by the correlation id."""
    assert (response.status_code, response.json()["code"]) == (status, code)
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:vidintel:error:{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["correlation_id"] == response.headers["x-request-id"]
    assert tuple(error["field"] for error in body.get("errors", ())) == fields_at_fault
    assert all(error["detail"] for error in body.get("errors", ()))
