"""The middleware pipeline: plain ASGI callables, because each `BaseHTTPMiddleware` more than halves throughput."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidintel.application.ports import Tracing
from vidintel.domain.identity import Principal
from vidintel.presentation.http.correlation import HEADER, correlation_id
from vidintel.presentation.http.errors import internal_problem
from vidintel.presentation.http.metering import CLIENT_GONE, Metrics, RequestMeter, Traces
from vidintel.settings.model import HttpSettings, MiddlewareName

log = structlog.get_logger(__name__)

_HEALTH = "/health"

# As they are sent: looking headers up by name would cost more than sending them.
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_PRIVATE_HEADERS = [*_HEADERS, (b"cache-control", b"no-store")]
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def pipeline(http: HttpSettings, meter: RequestMeter, tracing: Tracing) -> list[Middleware]:
    """The middleware that ``http.middleware`` names, outermost first, around the two that are always there."""
    known: Mapping[MiddlewareName, Middleware] = {
        "metrics": Middleware(Metrics, meter=meter),
        "request_id": Middleware(RequestId),
        "tracing": Middleware(Traces, tracing=tracing),
        "access_log": Middleware(AccessLog),
        "security_headers": Middleware(SecurityHeaders),
        "cors": Middleware(
            CrossOrigin,
            allow_origins=http.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Range", "If-Range", "If-None-Match", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Location", "Accept-Ranges", "Content-Range", "ETag", "Retry-After"],
            max_age=600,
        ),
    }
    return [*(known[name] for name in http.middleware), Middleware(HeadWithoutBody), Middleware(ErrorBoundary)]


@dataclass(frozen=True, slots=True)
class RequestId:
    """Gives the request its correlation id: in every log line, and in the ``X-Request-ID`` of the answer."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = correlation_id(scope)
        header = (HEADER, request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            structlog.contextvars.reset_contextvars(**bound)


class AccessLog:
    """One line per request, ``request.completed``, that says who asked for what and how it went.

    The path's template is logged instead of the path, and the query string not at all.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._log = log.bind()  # once: making a logger takes longer than writing the line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        started = time.perf_counter()
        status, sent_bytes = CLIENT_GONE, 0

        async def counting_send(message: Message) -> None:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = int(message["status"])
            elif message["type"] == "http.response.body":
                sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, counting_send)
        finally:
            principal: Principal | None = scope["state"].get("principal")
            who = {} if principal is None else {"tenant": str(principal.tenant_id), "user": str(principal.user_id)}
            write = self._log.debug if scope["path"].startswith(_HEALTH) else self._log.info
            write(
                "request.completed",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None),
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 2),
                bytes=sent_bytes,
                **who,
            )


@dataclass(frozen=True, slots=True)
class SecurityHeaders:
    """Headers that keep browsers from guessing, framing and caching. What a route has set itself stays."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        defaults = _HEADERS
        if scope["path"].startswith("/api/") or any(name == b"authorization" for name, _ in scope["headers"]):
            defaults = _PRIVATE_HEADERS
        if scope["scheme"] == "https":
            defaults = [*defaults, _HSTS]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                there = {name.lower() for name, _ in headers}
                message["headers"] = [*headers, *(default for default in defaults if default[0] not in there)]
            await send(message)

        await self.app(scope, receive, send_with_headers)


class CrossOrigin(CORSMiddleware):
    """Starlette's, with a shorter way for requests that name no origin."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or any(name == b"origin" for name, _ in scope["headers"]):
            await super().__call__(scope, receive, send)
            return

        async def send_varied(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                varies = [value for name, value in headers if name.lower() == b"vary"]
                others = [header for header in headers if header[0].lower() != b"vary"] if varies else headers
                message["headers"] = [*others, (b"vary", b", ".join([*varies, b"Origin"]))]
            await send(message)

        await self.app(scope, receive, send_varied)


@dataclass(frozen=True, slots=True)
class HeadWithoutBody:
    """Sends the headers of an answer to HEAD and leaves out its body (RFC 9110, 9.3.2)."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app(scope, receive, send_without_body)


@dataclass(frozen=True, slots=True)
class ErrorBoundary:
    """Turns what nobody expected into a 500 with a problem document, inside all other middleware, and logs it."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watching_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watching_send)
        except Exception:
            log.exception("request.failed", method=scope["method"], route=getattr(scope.get("route"), "path", None))
            # An answer that has begun cannot be taken back: breaking it off is the only way to say so.
            if started:
                raise
            await internal_problem()(scope, receive, send)
