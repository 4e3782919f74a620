"""``/api/v1/jobs`` and ``/api/v1/videos/{id}/jobs``: read, cancel, retry and request analyses."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import Body
from starlette.responses import Response

from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.ports import JobReport
from vidintel.domain.errors import (
    InvalidTransition,
    JobAlreadyActive,
    JobNotFound,
    UnknownLabel,
    UnknownModel,
    ValidationError,
    VideoNotFound,
)
from vidintel.presentation.http.dependencies import Caller, HttpServices, JobIdPath, PageOf, Services, VideoIdPath
from vidintel.presentation.http.openapi import INVALID_CURSOR, problems
from vidintel.presentation.http.responses import answer, json_response
from vidintel.presentation.http.routing import Router
from vidintel.presentation.http.schemas.common import JOB_ID, VIDEO_ID
from vidintel.presentation.http.schemas.jobs import JobBody, JobList, SpecBody

_JOBS = "/api/v1/jobs"
_NO_JOB = JobNotFound(JOB_ID)
_NO_VIDEO = VideoNotFound(VIDEO_ID)

router = Router(_JOBS, tags=["jobs"])
of_video = Router("/api/v1/videos", tags=["jobs"])


@router.get("/{job_id}", response_model=JobBody, responses=problems(_NO_JOB))
async def get_job(caller: Caller, services: Services, job_id: JobIdPath) -> Response:
    """One job with its spec, its progress and its outcome."""
    return answer(await services.get_job(caller, job_id), _shown_by(services))


@router.post(
    "/{job_id}/cancel",
    response_model=JobBody,
    responses=problems(_NO_JOB, InvalidTransition("job", "succeeded", "cancelled")),
)
async def cancel_job(caller: Caller, services: Services, job_id: JobIdPath) -> Response:
    """Cancel a job that is queued or running. No more results are written for it."""
    return answer(await services.cancel_job(caller, job_id), _shown_by(services))


@router.post(
    "/{job_id}/retry",
    status_code=HTTPStatus.ACCEPTED,
    response_model=JobBody,
    responses=problems(_NO_JOB, InvalidTransition("job", "succeeded", "queued"), JobAlreadyActive()),
)
async def retry_job(caller: Caller, services: Services, job_id: JobIdPath) -> Response:
    """Retry a failed job. Its finished segments are not analysed again."""
    return answer(await services.retry_job(caller, job_id), _shown_by(services), HTTPStatus.ACCEPTED)


@of_video.get(
    "/{video_id}/jobs",
    response_model=JobList,
    responses=problems(_NO_VIDEO, INVALID_CURSOR),
)
async def list_jobs(caller: Caller, services: Services, video_id: VideoIdPath, page: PageOf) -> Response:
    """The jobs of a video, newest first."""
    return answer(await services.list_jobs(caller, video_id, page), JobList.of)


@of_video.post(
    "/{video_id}/jobs",
    status_code=HTTPStatus.ACCEPTED,
    response_model=JobBody,
    responses=problems(
        _NO_VIDEO,
        JobAlreadyActive(),
        UnknownModel("yolo9000", ("traffic-yolov8n",)),
        UnknownLabel("zebra", "traffic-yolov8n", ("car", "truck", "person")),
        ValidationError("min_confidence must lie between 0 and 1; got 2.0.", field="spec.min_confidence"),
    ),
)
async def request_analysis(
    caller: Caller, services: Services, video_id: VideoIdPath, spec: Annotated[SpecBody | None, Body()] = None
) -> Response:
    """Analyse the video again, for example with another model or sample rate. Without a body, all defaults apply."""

    def accepted(report: JobReport) -> Response:
        structlog.contextvars.bind_contextvars(job=str(report.job.id))
        body = JobBody.of_report(report, services.clock.now())
        return json_response(body, HTTPStatus.ACCEPTED, {"Location": f"{_JOBS}/{report.job.id}"})

    wanted = SpecRequest() if spec is None else spec.request()
    return answer(await services.request_analysis(caller, video_id, wanted), accepted)


def _shown_by(services: HttpServices) -> Callable[[JobReport], JobBody]:
    return lambda report: JobBody.of_report(report, services.clock.now())
