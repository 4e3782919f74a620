"""What it costs a request to be counted and timed: our middleware against the base class, on one bare app."""

import asyncio
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.bench import Bench
from benchmarks.report import Row, Skipped, Timed
from benchmarks.rounds import in_turn, timed
from vidintel.application.ports import NoTracing
from vidintel.infrastructure.observability.telemetry import PrometheusTelemetry
from vidintel.presentation.http.metering import Metrics, Traces

_REQUESTS = 20_000


class _Route:
    path = "/api/v1/videos/{video_id}"


async def _app(scope: Scope, _receive: Receive, send: Send) -> None:
    scope["route"] = _Route
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


class _Passing(BaseHTTPMiddleware):
    """Does nothing at all."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def middleware(bench: Bench) -> Iterator[Row | Skipped]:
    requests = _REQUESTS // (10 if bench.is_quick else 1)
    telemetry = PrometheusTelemetry(CollectorRegistry())
    contestants: dict[str, ASGIApp] = {
        "ours": Metrics(Traces(_app, NoTracing()), telemetry),
        "base class": _Passing(_app),
        "bare": _app,
    }
    runs = in_turn(
        {name: partial(timed, partial(_answer, app, requests)) for name, app in contestants.items()}, bench.rounds
    )
    yield Row.of_rounds(
        "metrics-middleware",
        "requests counted, timed and asked whether they are traced, against one BaseHTTPMiddleware that does nothing",
        "requests/s",
        list(zip(runs["ours"], runs["base class"], strict=True)),
        target=10.0,
        detail={f"{name}_us": round(_microseconds(times), 2) for name, times in runs.items()},
    )


def _answer(app: ASGIApp, requests: int) -> float:
    async def run() -> None:
        for _ in range(requests):
            scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
            await app(scope, _receive, _send)

    asyncio.run(run())
    return requests


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_: Message) -> None: ...


def _microseconds(runs: list[Timed]) -> float:
    """Processor time of one request."""
    return 1e6 * median((run.cpu_s or 0.0) / run.units for run in runs)
