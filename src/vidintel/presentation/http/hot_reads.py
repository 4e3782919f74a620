"""The reads that clients repeat most, answered before the framework's routing: one video, one job.

Their routes stand in the routers as all others do, and answer whatever is out of the ordinary here; they are also what
the documentation is made from. Both ways call the same use cases and give the same answers.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from cachetools import LRUCache
from fastapi import APIRouter, Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from vidintel.application.ports import JobReport, VideoReport
from vidintel.application.result import Err, Ok, Result
from vidintel.domain.analysis import JobId
from vidintel.domain.errors import DomainError
from vidintel.domain.identity import Principal
from vidintel.domain.video import VideoId
from vidintel.presentation.http.dependencies import HttpServices, authenticate
from vidintel.presentation.http.errors import domain_problem
from vidintel.presentation.http.routers import jobs, videos
from vidintel.presentation.http.schemas.jobs import JobBody
from vidintel.presentation.http.schemas.videos import VideoWithJob

T = TypeVar("T")

_ADDRESS = re.compile(r"/api/v1/(videos|jobs)/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_SCHEME = b"bearer "
_JSON = (b"content-type", b"application/json")
_BODIES_KEPT = 1024


class Rendered(Generic[T]):
    """Bodies by the very report they were rendered from, as long as it says the same at any time of day."""

    def __init__(self, render: Callable[[T, datetime], bytes], is_timeless: Callable[[T], bool]) -> None:
        self._render = render
        self._is_timeless = is_timeless
        self._kept: LRUCache[int, tuple[T, bytes]] = LRUCache(_BODIES_KEPT)

    def body(self, report: T, now: datetime) -> bytes:
        # A report that is kept here is alive, so that no other can have its id.
        kept = self._kept.get(id(report))
        if kept is not None:
            return kept[1]
        body = self._render(report, now)
        if self._is_timeless(report):
            self._kept[id(report)] = (report, body)
        return body


@dataclass(frozen=True, slots=True)
class _HotRead(Generic[T]):
    route: BaseRoute
    use_case: Callable[[Principal, UUID], Awaitable[Result[T]]]
    rendered: Rendered[T]


class HotReads:
    """Middleware, the innermost. Everything but a plain GET of one video or job with a bearer token passes it."""

    def __init__(self, app: ASGIApp, services: HttpServices) -> None:
        self._app = app
        self._services = services
        self._reads: Mapping[str, _HotRead[Any]] = {
            "videos": _HotRead(
                _route(videos.router, "get_video"),
                lambda caller, row_id: services.get_video(caller, VideoId(row_id)),
                Rendered(_video_body, lambda report: report.job is None or _is_timeless(report.job)),
            ),
            "jobs": _HotRead(
                _route(jobs.router, "get_job"),
                lambda caller, row_id: services.get_job(caller, JobId(row_id)),
                Rendered(_job_body, _is_timeless),
            ),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = _ADDRESS.fullmatch(scope["path"]) if _is_plain_get(scope) else None
        token = None if address is None else _bearer_token(scope)
        if address is None or token is None:
            await self._app(scope, receive, send)
            return
        kind, row_id = address.groups()
        read = self._reads[kind]
        scope["route"] = read.route  # what logs and metrics name it by
        structlog.contextvars.bind_contextvars(**{kind.removesuffix("s"): row_id})
        try:
            caller = authenticate(self._services, scope.setdefault("state", {}), token)
            result = await read.use_case(caller, UUID(row_id))
        except DomainError as refused:
            result = Err(refused)
        match result:
            case Ok(report):
                body = read.rendered.body(report, self._services.clock.now())
                headers = [(b"content-length", b"%d" % len(body)), _JSON]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
            case Err(error):
                await domain_problem(Request(scope), error)(scope, receive, send)


def _route(router: APIRouter, name: str) -> Route:
    return next(route for route in router.routes if isinstance(route, Route) and route.name == name)


def _is_plain_get(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]


def _bearer_token(scope: Scope) -> str | None:
    """The token, when it is sent in the usual way; anything else is for the route to judge."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            is_usual = value[: len(_SCHEME)].lower() == _SCHEME
            token: str = value[len(_SCHEME) :].decode("latin-1")
            return token if is_usual and token and token == token.strip() else None
    return None


def _video_body(report: VideoReport, now: datetime) -> bytes:
    return VideoWithJob.of_report(report.video, report.job, now).model_dump_json().encode()


def _job_body(report: JobReport, now: datetime) -> bytes:
    return JobBody.of_report(report, now).model_dump_json().encode()


def _is_timeless(report: JobReport) -> bool:
    """Speed and time to go depend on the time while a job runs; nothing else does."""
    return report.job.started_at is None or report.job.finished_at is not None
