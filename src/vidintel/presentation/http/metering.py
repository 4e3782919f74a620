"""Counting, timing and tracing requests."""

import time
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidintel.application.ports import NoTracing, Tracing

CLIENT_GONE = 499  # nginx's number for a client that hung up before it was answered
_NO_ROUTE = "none"


class RequestMeter(Protocol):
    """Counts requests. ``route`` is a template, never an address: there are only so many of them."""

    def request_began(self) -> None: ...

    def request_ended(self, method: str, route: str, status: int, duration_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counts each request under its route and times it, to the end of its answer."""

    app: ASGIApp
    meter: RequestMeter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = CLIENT_GONE

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        self.meter.request_began()
        try:
            await self.app(scope, receive, noting_send)
        finally:
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            self.meter.request_ended(scope["method"], route, status, time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Traces:
    """A span for each request, below the client's own when it sent a ``traceparent``."""

    app: ASGIApp
    tracing: Tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or isinstance(self.tracing, NoTracing):
            await self.app(scope, receive, send)
            return
        with self.tracing.span(scope["method"], parent=Headers(scope=scope).get("traceparent")) as span:
            try:
                await self.app(scope, receive, send)
            finally:
                route = getattr(scope.get("route"), "path", _NO_ROUTE)
                attributes = {"http.request.method": scope["method"], "http.route": route}
                span.describe(f"{scope['method']} {route}", attributes)
