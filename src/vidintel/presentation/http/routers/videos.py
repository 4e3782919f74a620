"""``/api/v1/videos``: upload, list, read, edit, delete."""

from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from vidintel.application.ports import VideoFilter
from vidintel.application.videos.registration import RegisteredVideo
from vidintel.domain.errors import (
    EmptyFile,
    NotAVideo,
    PayloadTooLarge,
    StorageError,
    StorageFull,
    StorageUnavailable,
    UnknownLabel,
    UnknownModel,
    ValidationError,
    VideoNotFound,
)
from vidintel.domain.video import CAMERA_ID_MAX, CameraId, VideoStatus
from vidintel.presentation.http.bodies import FORM_WITH_VIDEO, body_limit
from vidintel.presentation.http.dependencies import Caller, PageOf, Services, VideoIdPath
from vidintel.presentation.http.errors import MalformedForm
from vidintel.presentation.http.metering import CLIENT_GONE
from vidintel.presentation.http.multipart_upload import MultipartVideo
from vidintel.presentation.http.openapi import INVALID_CURSOR, problems
from vidintel.presentation.http.responses import answer, json_response
from vidintel.presentation.http.routing import Router
from vidintel.presentation.http.schemas.common import VIDEO_ID
from vidintel.presentation.http.schemas.jobs import JobBody
from vidintel.presentation.http.schemas.videos import (
    UPLOAD_FORM,
    Registered,
    VideoBody,
    VideoList,
    VideoPatch,
    VideoWithJob,
)

log = structlog.get_logger(__name__)

_VIDEOS = "/api/v1/videos"

_NO_VIDEO = VideoNotFound(VIDEO_ID)
_BAD_TIME = ValidationError("captured_at must lie between 1888-01-01 and now.", field="captured_at")
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": UPLOAD_FORM,
                "encoding": {"spec": {"contentType": "application/json"}},
            }
        },
    }
}

router = Router(_VIDEOS, tags=["videos"])


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    response_model=Registered,
    openapi_extra=_FORM,
    responses=problems(
        _BAD_TIME,
        MalformedForm("The body is not a well-formed multipart form."),
        PayloadTooLarge(4 * 1024**3),
        EmptyFile(),
        NotAVideo(),
        UnknownModel("yolo9000", ("traffic-yolov8n",)),
        UnknownLabel("zebra", "traffic-yolov8n", ("car", "truck", "person")),
        StorageError("The storage refused the request."),
        StorageFull(),
        StorageUnavailable(),
    ),
)
@body_limit(FORM_WITH_VIDEO)
async def register_video(request: Request, caller: Caller, services: Services) -> Response:
    """Upload a video and queue its analysis.

    The text fields may come before or after the file. After a 202, the video and its job are stored durably. After any
    other answer, nothing is stored.
    """

    def accepted(registered: RegisteredVideo) -> Response:
        video, job = registered.video, registered.job
        structlog.contextvars.bind_contextvars(video=str(video.id), job=str(job.job.id))
        body = Registered(video=VideoBody.of(video), job=JobBody.of_report(job, services.clock.now()))
        return json_response(body, HTTPStatus.ACCEPTED, {"Location": f"{_VIDEOS}/{video.id}"})

    try:
        async with aclosing(request.stream()) as body:
            form = await MultipartVideo.open(request.headers.get("content-type"), body)
            return answer(await services.register_video(caller, form), accepted)
    except ClientDisconnect:
        log.info("upload.aborted")
        return Response(status_code=CLIENT_GONE)


@router.get("", response_model=VideoList, responses=problems(INVALID_CURSOR))
async def list_videos(
    caller: Caller,
    services: Services,
    page: PageOf,
    status: VideoStatus | None = None,
    camera_id: Annotated[
        str | None,
        Query(min_length=1, max_length=CAMERA_ID_MAX, description="Only videos of this camera.", examples=["gate-3"]),
    ] = None,
) -> Response:
    """The videos of your organisation, newest first."""
    filter_ = VideoFilter(status=status, camera_id=None if camera_id is None else CameraId(camera_id))
    return answer(await services.list_videos(caller, filter_, page), VideoList.of)


@router.get("/{video_id}", response_model=VideoWithJob, responses=problems(_NO_VIDEO))
async def get_video(caller: Caller, services: Services, video_id: VideoIdPath) -> Response:
    """One video, with its newest job."""
    video = await services.get_video(caller, video_id)
    return answer(video, lambda report: VideoWithJob.of_report(report, services.clock.now()))


@router.patch("/{video_id}", response_model=VideoBody, responses=problems(_NO_VIDEO, _BAD_TIME))
async def update_video(caller: Caller, services: Services, video_id: VideoIdPath, patch: VideoPatch) -> Response:
    """Change title, description or capture time. Fields that are left out keep their values."""
    return answer(await services.update_video(caller, video_id, patch.changes()), VideoBody.of)


@router.delete("/{video_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems(_NO_VIDEO))
async def delete_video(caller: Caller, services: Services, video_id: VideoIdPath) -> Response:
    """Delete a video with its jobs and all their results."""
    deleted = await services.delete_video(caller, video_id)
    return answer(deleted, lambda _: Response(status_code=HTTPStatus.NO_CONTENT))
