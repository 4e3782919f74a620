"""``/api/v1/videos/{id}/detections``, ``/tracks``, ``/timeline``, ``/results``, ``/frames``: what a job found."""

import re
from typing import Annotated, TypeAlias

from fastapi import Path, Query
from starlette.responses import Response

from vidintel.application.ports import DetectionFilter, Page, TrackFilter
from vidintel.domain.errors import (
    FrameNotFound,
    JobNotFound,
    ResultNotFound,
    UnreadableVideo,
    VideoNotFound,
)
from vidintel.presentation.http.dependencies import AnsweringJob, Caller, Cursor, Services, VideoIdPath
from vidintel.presentation.http.errors import FieldError, RequestInvalid
from vidintel.presentation.http.openapi import INVALID_CURSOR, problems
from vidintel.presentation.http.responses import answer
from vidintel.presentation.http.routing import Router
from vidintel.presentation.http.schemas.answers import DetectionList
from vidintel.presentation.http.schemas.common import JOB_ID, VIDEO_ID
from vidintel.presentation.http.schemas.results import ResultsBody
from vidintel.presentation.http.schemas.tracks import TimelineBody, TrackList

_NO_VIDEO = VideoNotFound(VIDEO_ID)
_NO_JOB = JobNotFound(JOB_ID)
_NO_RESULT = ResultNotFound("This video has no job. Start an analysis of it.")
_LISTED = problems(_NO_VIDEO, _NO_JOB, _NO_RESULT, INVALID_CURSOR)
_SECONDS = re.compile(r"[0-9]{1,7}(\.[0-9]{1,20})?")

Seconds: TypeAlias = Annotated[float | None, Query(ge=0, allow_inf_nan=False, description="Seconds from the start.")]
# No label contains a control character, and PostgreSQL refuses NUL.
Label: TypeAlias = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=1000)]

router = Router("/api/v1/videos", tags=["answers"])


@router.get(
    "/{video_id}/detections",
    response_model=DetectionList,
    responses=_LISTED,
)
async def list_detections(
    caller: Caller,
    services: Services,
    video_id: VideoIdPath,
    job_id: AnsweringJob,
    label: Label = None,
    min_confidence: Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)] = None,
    from_s: Seconds = None,
    to_s: Seconds = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """The detections in frames with `from_s <= time < to_s`. While a job runs: those of its finished segments."""
    wanted = DetectionFilter(label, min_confidence, from_s, to_s)
    page = Page(limit, cursor)
    return answer(await services.list_detections(caller, video_id, job_id, wanted, page), DetectionList.of)


@router.get(
    "/{video_id}/tracks",
    response_model=TrackList,
    responses=_LISTED,
)
async def list_tracks(
    caller: Caller,
    services: Services,
    video_id: VideoIdPath,
    job_id: AnsweringJob,
    label: Label = None,
    from_s: Seconds = None,
    to_s: Seconds = None,
    min_duration_s: Annotated[
        float | None,
        Query(
            ge=0,
            allow_inf_nan=False,
            description="The least number of seconds between the first and the last detection.",
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """The tracked objects, in order of first appearance. With `from_s` and `to_s`: those visible at some time with
    `from_s <= time < to_s`. The list is empty until the job has succeeded."""
    wanted = TrackFilter(label, from_s, to_s, min_duration_s)
    return answer(await services.list_tracks(caller, video_id, job_id, wanted, Page(limit, cursor)), TrackList.of)


@router.get("/{video_id}/timeline", response_model=TimelineBody, responses=problems(_NO_VIDEO, _NO_JOB, _NO_RESULT))
async def get_timeline(caller: Caller, services: Services, video_id: VideoIdPath, job_id: AnsweringJob) -> Response:
    """The time spans in which each label was visible, and the shot changes."""
    return answer(await services.get_timeline(caller, video_id, job_id), TimelineBody.of)


@router.get("/{video_id}/results", response_model=ResultsBody, responses=problems(_NO_VIDEO, _NO_JOB, _NO_RESULT))
async def get_results(caller: Caller, services: Services, video_id: VideoIdPath, job_id: AnsweringJob) -> Response:
    """The results of a job by kind. `summary` has the number of objects per label, when they were visible and how many
    at once, the crossings of the lines of the spec, and the use of its zones."""
    return answer(await services.get_results(caller, video_id, job_id), ResultsBody.of)


@router.get(
    "/{video_id}/frames/{seconds}.jpg",
    response_class=Response,
    responses={
        200: {"description": "The picture.", "content": {"image/jpeg": {}}},
        **problems(
            _NO_VIDEO,
            _NO_JOB,
            _NO_RESULT,
            FrameNotFound("The video has no frame at 99 s."),
            UnreadableVideo("The video cannot be decoded."),
        ),
    },
)
async def get_frame(
    caller: Caller,
    services: Services,
    video_id: VideoIdPath,
    job_id: AnsweringJob,
    seconds: Annotated[
        str,
        Path(
            description="Seconds from the start, a decimal number.",
            examples=["1.5"],
            json_schema_extra={"pattern": f"^{_SECONDS.pattern}$"},
        ),
    ],
    boxes: Annotated[
        bool, Query(description="Draw the detections of the analysed moment nearest to this one.")
    ] = False,
) -> Response:
    """The frame that a player shows at that moment, as JPEG, upright. `boxes=true` draws the detections into it."""
    if not _SECONDS.fullmatch(seconds):
        raise RequestInvalid([FieldError("seconds", "Give a decimal number of seconds, 0 or more.")])
    jpeg = await services.render_frame(caller, video_id, float(seconds), boxes, job_id)
    return answer(jpeg, lambda content: Response(content, media_type="image/jpeg"))
