"""``/api/v1/videos/{id}/detections``, ``/tracks``, ``/timeline``, ``/results``, ``/frames``: what was seen and when."""

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
    ValidationError,
    VideoNotFound,
)
from vidintel.presentation.http.dependencies import AnsweringJob, Caller, Cursor, Services, VideoIdPath
from vidintel.presentation.http.errors import FieldError, RequestInvalid
from vidintel.presentation.http.openapi import problems
from vidintel.presentation.http.responses import answer
from vidintel.presentation.http.routing import Router
from vidintel.presentation.http.schemas.answers import DetectionList
from vidintel.presentation.http.schemas.common import JOB_ID, VIDEO_ID
from vidintel.presentation.http.schemas.results import ResultsBody
from vidintel.presentation.http.schemas.tracks import TimelineBody, TrackList

_NO_VIDEO = VideoNotFound(VIDEO_ID)
_NO_JOB = JobNotFound(JOB_ID)
_NO_RESULT = ResultNotFound("This video has no analysis. Start a job for it.")
_LISTED = problems(_NO_VIDEO, _NO_JOB, _NO_RESULT, ValidationError("This cursor was not made here.", field="cursor"))
_SECONDS = re.compile(r"[0-9]{1,7}(\.[0-9]{1,20})?")

Seconds: TypeAlias = Annotated[float | None, Query(ge=0, allow_inf_nan=False, description="Seconds from the start.")]
# A control character names no label, and databases choke on some.
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
    """What was seen, frame by frame, with `from_s <= time < to_s`. While a job runs: what its done segments saw."""
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
        float | None, Query(ge=0, allow_inf_nan=False, description="Seconds between first and last sight, at least.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """The objects that were followed, in order of first appearance; those of which some time between first and last
    sight lies within `from_s <= time < to_s`. There are none before the job has succeeded."""
    wanted = TrackFilter(label, from_s, to_s, min_duration_s)
    return answer(await services.list_tracks(caller, video_id, job_id, wanted, Page(limit, cursor)), TrackList.of)


@router.get("/{video_id}/timeline", response_model=TimelineBody, responses=problems(_NO_VIDEO, _NO_JOB, _NO_RESULT))
async def get_timeline(caller: Caller, services: Services, video_id: VideoIdPath, job_id: AnsweringJob) -> Response:
    """When each label was in sight, and where one shot changes to another."""
    return answer(await services.get_timeline(caller, video_id, job_id), TimelineBody.of)


@router.get("/{video_id}/results", response_model=ResultsBody, responses=problems(_NO_VIDEO, _NO_JOB, _NO_RESULT))
async def get_results(caller: Caller, services: Services, video_id: VideoIdPath, job_id: AnsweringJob) -> Response:
    """The results of a job by kind; `summary` has, per label, how many objects there were, when, and how many at once;
    and how often the lines of the spec were crossed, and its zones used."""
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
            description="Seconds from the start, a decimal.",
            examples=["1.5"],
            json_schema_extra={"pattern": f"^{_SECONDS.pattern}$"},
        ),
    ],
    boxes: Annotated[bool, Query(description="Draw what was seen at that moment.")] = False,
) -> Response:
    """The picture that a player shows at that moment, upright; with `boxes=true`, with what was seen in it."""
    if not _SECONDS.fullmatch(seconds):
        raise RequestInvalid([FieldError("seconds", "A moment is a decimal number of seconds, 0 or more.")])
    jpeg = await services.render_frame(caller, video_id, float(seconds), boxes, job_id)
    return answer(jpeg, lambda content: Response(content, media_type="image/jpeg"))
