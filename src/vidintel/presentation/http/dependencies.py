"""The arguments of routes: the use cases, the caller, and parsed ids."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias, TypeVar
from uuid import UUID

import structlog
from fastapi import Depends, Path, Query, Request, Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from vidintel.application.jobs.requests import CancelJob, GetJob, ListJobs, RequestAnalysis, RetryJob
from vidintel.application.pipeline.snapshots import OpenPicture
from vidintel.application.ports import Clock, Live, Page, Tracing
from vidintel.application.queries.detections import ListDetections
from vidintel.application.queries.frames import RenderFrame
from vidintel.application.queries.models import ListModels
from vidintel.application.queries.readiness import CheckReadiness
from vidintel.application.queries.results import GetResults, GetTimeline
from vidintel.application.queries.tracks import ListTracks
from vidintel.application.videos.content import OpenContent
from vidintel.application.videos.library import DeleteVideo, GetVideo, ListVideos, UpdateVideo
from vidintel.application.videos.registration import RegisterVideo
from vidintel.domain.analysis import JobId
from vidintel.domain.errors import JobNotFound, VideoNotFound
from vidintel.domain.identity import Principal
from vidintel.domain.video import VideoId
from vidintel.presentation.http.lifecycle import Lifecycle
from vidintel.presentation.http.metering import RequestMeter
from vidintel.presentation.http.token_verifier import TokenVerifier
from vidintel.settings.model import HttpSettings, LimitSettings, MetricsSettings

T = TypeVar("T")

_SHOWN_ID_LENGTH = 64
# For the documentation only: a value that is not an id is answered like the id of an absent video.
_UUID = Path(json_schema_extra={"format": "uuid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServices:
    """Everything the HTTP edge calls; made by whoever starts the server."""

    register_video: RegisterVideo
    list_videos: ListVideos
    get_video: GetVideo
    update_video: UpdateVideo
    delete_video: DeleteVideo
    open_content: OpenContent
    request_analysis: RequestAnalysis
    list_jobs: ListJobs
    get_job: GetJob
    cancel_job: CancelJob
    retry_job: RetryJob
    list_detections: ListDetections
    list_tracks: ListTracks
    get_timeline: GetTimeline
    open_picture: OpenPicture
    get_results: GetResults
    render_frame: RenderFrame
    list_models: ListModels
    check_readiness: CheckReadiness
    verifier: TokenVerifier
    clock: Clock
    meter: RequestMeter
    tracing: Tracing
    expose_metrics: Callable[[], Awaitable[bytes]]
    http: HttpSettings
    metrics: MetricsSettings
    limits: Live[LimitSettings]
    version: str
    lifecycle: Lifecycle = field(default_factory=Lifecycle)


def services_of(request: Request) -> HttpServices:
    services: HttpServices = request.app.state.services
    return services


async def _services(request: Request) -> HttpServices:
    return services_of(request)


class BearerToken(SecurityBase):
    """Documents how callers authenticate, and gives a route the caller that its `Admission` has authenticated."""

    scheme_name = "bearer"
    model = HTTPBearerModel(
        bearerFormat="JWT",
        description="A Clerk session token, or a development token from `vidintel token`. Cookies are ignored.",
    )

    async def __call__(self, request: Request) -> Principal:
        caller: Principal = request.state.principal
        return caller


async def _video_id(video_id: Annotated[str, _UUID]) -> VideoId:
    parsed = _uuid(video_id)
    if parsed is None:
        raise VideoNotFound(video_id[:_SHOWN_ID_LENGTH])
    structlog.contextvars.bind_contextvars(video=str(parsed))
    return VideoId(parsed)


async def _job_id(job_id: Annotated[str, _UUID]) -> JobId:
    parsed = _uuid(job_id)
    if parsed is None:
        raise JobNotFound(job_id[:_SHOWN_ID_LENGTH])
    structlog.contextvars.bind_contextvars(job=str(parsed))
    return JobId(parsed)


async def _answering_job_id(
    job_id: Annotated[
        UUID | None, Query(description="The job to ask. By default the job that succeeded last, else the newest.")
    ] = None,
) -> JobId | None:
    return None if job_id is None else JobId(job_id)


def _uuid(text: str) -> UUID | None:
    """The UUID with the canonical form ``text``; ``None`` for anything else."""
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() else None


Cursor: TypeAlias = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the previous page.")]


async def _page(cursor: Cursor = None, limit: Annotated[int, Query(ge=1, le=100)] = 50) -> Page:
    return Page(limit=limit, cursor=cursor)


Services: TypeAlias = Annotated[HttpServices, Depends(_services)]
Caller: TypeAlias = Annotated[Principal, Security(BearerToken())]
VideoIdPath: TypeAlias = Annotated[VideoId, Depends(_video_id)]
JobIdPath: TypeAlias = Annotated[JobId, Depends(_job_id)]
AnsweringJob: TypeAlias = Annotated[JobId | None, Depends(_answering_job_id)]
PageOf: TypeAlias = Annotated[Page, Depends(_page)]
