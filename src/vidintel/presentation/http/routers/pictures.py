"""``/api/v1/videos/{id}/poster.jpg``, ``/preview.jpg`` and ``/tracks/{track_id}/shot.jpg``: stored pictures."""

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import Path
from starlette.responses import Response

from vidintel.application.pipeline.snapshots import POSTER, PREVIEW, StoredPicture, shot_of
from vidintel.domain.analysis import JobId
from vidintel.domain.errors import JobNotFound, ResultNotFound, StorageError, StorageUnavailable, VideoNotFound
from vidintel.presentation.http.dependencies import AnsweringJob, Caller, Services, VideoIdPath
from vidintel.presentation.http.etags import IfNoneMatch, has_it
from vidintel.presentation.http.openapi import problems
from vidintel.presentation.http.responses import StoredBytes, answer
from vidintel.presentation.http.routing import Router
from vidintel.presentation.http.schemas.common import JOB_ID, VIDEO_ID

TrackId: TypeAlias = Annotated[int, Path(ge=1, lt=2**31)]

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/jpeg": {}}},
    304: {"description": "The picture is the one that `If-None-Match` names."},
    **problems(
        VideoNotFound(VIDEO_ID),
        JobNotFound(JOB_ID),
        ResultNotFound("This picture does not exist: the job has not succeeded, or made no such picture."),
        StorageError("The stored object is missing."),
        StorageUnavailable(),
    ),
}

router = Router("/api/v1/videos", tags=["answers"])


@router.get("/{video_id}/poster.jpg", response_class=Response, responses=_RESPONSES)
async def get_poster(
    caller: Caller, services: Services, video_id: VideoIdPath, job_id: AnsweringJob, if_none_match: IfNoneMatch = None
) -> Response:
    """The frame with the most objects, at most 1280 pixels wide or high."""
    picture = await services.open_picture(caller, video_id, job_id, POSTER)
    return answer(picture, partial(_sent, job_id=job_id, if_none_match=if_none_match))


@router.get("/{video_id}/preview.jpg", response_class=Response, responses=_RESPONSES)
async def get_preview(
    caller: Caller, services: Services, video_id: VideoIdPath, job_id: AnsweringJob, if_none_match: IfNoneMatch = None
) -> Response:
    """Ten frames, evenly spread over the video, side by side. `results.evidence.preview_s` lists their times."""
    picture = await services.open_picture(caller, video_id, job_id, PREVIEW)
    return answer(picture, partial(_sent, job_id=job_id, if_none_match=if_none_match))


@router.get("/{video_id}/tracks/{track_id}/shot.jpg", response_class=Response, responses=_RESPONSES)
async def get_shot(
    caller: Caller,
    services: Services,
    video_id: VideoIdPath,
    track_id: TrackId,
    job_id: AnsweringJob,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The best picture of an object. `results.evidence.shots` lists the tracks that have one."""
    picture = await services.open_picture(caller, video_id, job_id, shot_of(track_id))
    return answer(picture, partial(_sent, job_id=job_id, if_none_match=if_none_match))


def _sent(picture: StoredPicture, job_id: JobId | None, if_none_match: str | None) -> Response:
    etag = f'"{picture.sha256}"'
    # The pictures of one job never change. Without a job, they change with the next one that succeeds.
    caching = "private, no-cache" if job_id is None else "private, max-age=31536000, immutable"
    headers = {"ETag": etag, "Cache-Control": caching}
    if has_it(if_none_match, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers["Content-Length"] = str(picture.size_bytes)
    return StoredBytes(picture.read(), headers=headers, media_type="image/jpeg")
