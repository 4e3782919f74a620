"""A shortcut for the reads that clients repeat most: one video, one job.

It is the innermost middleware, and skips what FastAPI does around a handler. It admits requests with the very
`Admission` of the route that it stands in for, and calls the same use case, `answer` and schema. The route answers
everything that is out of the ordinary here, such as a query string, and is what the documentation is made from.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from cachetools import LRUCache
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vidintel.application.ports import JobReport, VideoReport
from vidintel.application.result import Ok, Result
from vidintel.domain.analysis import JobId
from vidintel.domain.identity import Principal
from vidintel.domain.video import VideoId
from vidintel.presentation.http.dependencies import HttpServices
from vidintel.presentation.http.responses import answer, json_response
from vidintel.presentation.http.routers import jobs, videos
from vidintel.presentation.http.routing import Route
from vidintel.presentation.http.schemas.jobs import JobBody
from vidintel.presentation.http.schemas.videos import VideoWithJob

T = TypeVar("T")

_ADDRESS = re.compile(r"/api/v1/(videos|jobs)/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_RESPONSES_KEPT = 1024


class Rendered(Generic[T]):
    """Responses by the report that they were rendered from, for reports whose rendering does not depend on the time."""

    def __init__(self, render: Callable[[T, datetime], BaseModel], is_timeless: Callable[[T], bool]) -> None:
        self._render = render
        self._is_timeless = is_timeless
        self._kept: LRUCache[int, tuple[T, Response]] = LRUCache(_RESPONSES_KEPT)

    def response(self, report: T, now: datetime) -> Response:
        # A report that is kept here is alive, so that no other can have its id.
        kept = self._kept.get(id(report))
        if kept is not None:
            return kept[1]
        response = json_response(self._render(report, now))
        if self._is_timeless(report):
            self._kept[id(report)] = (report, response)
        return response


@dataclass(frozen=True, slots=True)
class _HotRead(Generic[T]):
    route: Route
    use_case: Callable[[Principal, UUID], Awaitable[Result[T]]]
    rendered: Rendered[T]


class HotReads:
    """Answers GET and HEAD of one video or job without a query string. All other requests go on to ``app``."""

    def __init__(self, app: ASGIApp, services: HttpServices) -> None:
        self._app = app
        self._services = services
        self._reads: Mapping[str, _HotRead[Any]] = {
            "videos": _HotRead(
                _route(videos.router, "get_video"),
                lambda caller, row_id: services.get_video(caller, VideoId(row_id)),
                Rendered(VideoWithJob.of_report, _is_timeless_video),
            ),
            "jobs": _HotRead(
                _route(jobs.router, "get_job"),
                lambda caller, row_id: services.get_job(caller, JobId(row_id)),
                Rendered(JobBody.of_report, _is_timeless),
            ),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = _ADDRESS.fullmatch(scope["path"]) if _is_plain_read(scope) else None
        if address is None:
            await self._app(scope, receive, send)
            return
        kind, row_id = address.groups()
        read = self._reads[kind]
        scope["route"] = read.route  # logs and metrics show its path
        result: Result[Any] = await read.route.admission(self._services, scope)
        if isinstance(result, Ok):
            structlog.contextvars.bind_contextvars(**{kind.removesuffix("s"): row_id})
            result = await read.use_case(scope["state"]["principal"], UUID(row_id))
        response = answer(result, lambda report: read.rendered.response(report, self._services.clock.now()))
        await response(scope, receive, send)


def _route(router: APIRouter, name: str) -> Route:
    return next(route for route in router.routes if isinstance(route, Route) and route.name == name)


def _is_plain_read(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and not scope["query_string"]


def _is_timeless_video(report: VideoReport) -> bool:
    return report.job is None or _is_timeless(report.job)


def _is_timeless(report: JobReport) -> bool:
    """Only the speed and the remaining time of a running job depend on the time."""
    return report.job.started_at is None or report.job.finished_at is not None
