"""Counting and timing requests."""

import time
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
