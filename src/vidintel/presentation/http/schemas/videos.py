"""Videos: as clients describe them, and as we answer."""

import re
from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from vidintel.application.ports import VideoReport
from vidintel.application.videos.library import VideoChanges, VideoPage
from vidintel.domain.video import (
    CAMERA_ID_MAX,
    DESCRIPTION_MAX,
    TITLE_MAX,
    CameraId,
    MediaInfo,
    SourceKind,
    StoredContent,
    Video,
    VideoStatus,
)
from vidintel.presentation.http.schemas.common import SHA256, VIDEO_ID, Body, ErrorBody, Timestamp
from vidintel.presentation.http.schemas.jobs import JOB_EXAMPLE, JobBody

_VIDEO_EXAMPLE: dict[str, Any] = {
    "id": VIDEO_ID,
    "status": "completed",
    "title": "Gate 3, morning",
    "description": None,
    "captured_at": "2026-05-01T06:00:00Z",
    "camera_id": "gate-3",
    "source": {"kind": "upload", "name": "gate3.mp4"},
    "content": {"size_bytes": 1843221, "sha256": SHA256},
    "media": {
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "codec": "h264",
        "width": 1280,
        "height": 720,
        "rotation": 0,
        "duration_s": 12.0,
        "frame_rate": 25.0,
        "frame_count": 300,
    },
    "error": None,
    "created_by": "user_2abc",
    "created_at": "2026-05-01T08:00:00Z",
    "updated_at": "2026-05-01T08:00:09.412000Z",
    "expires_at": None,
}

_NUMBER = re.compile(r"\s*[+-]?[\d.]*\s*")


def _only_text(value: object) -> object:
    # Pydantic would also accept a number, or a string of digits, as seconds since 1970.
    if not isinstance(value, str | datetime) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("Give the time as RFC 3339 text, for example 2026-05-01T12:00:00Z.")
    return value


CapturedAt: TypeAlias = Annotated[
    datetime,
    BeforeValidator(_only_text),
    Field(description="The time at which second 0 of the video was captured; RFC 3339 with a time zone."),
]


CAMERA_ID_SCHEMA: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": CAMERA_ID_MAX,
    "description": "Which camera recorded the video: printable characters of your choice, compared exactly.",
    "examples": ["gate-3"],
}


class VideoPatch(Body):
    """A JSON merge patch: fields that are left out keep their values, and `null` removes a value."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"title": "Gate 3, morning"}]})

    title: Annotated[
        str | None,  # the domain explains that a title must not be null
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": TITLE_MAX}),
    ] = None
    description: Annotated[str, Field(json_schema_extra={"maxLength": DESCRIPTION_MAX})] | None = None
    captured_at: CapturedAt | None = None
    camera_id: Annotated[str, WithJsonSchema(CAMERA_ID_SCHEMA)] | None = None

    def changes(self) -> VideoChanges:
        return VideoChanges(
            fields=frozenset(self.model_fields_set),
            title=self.title,
            description=self.description,
            captured_at=self.captured_at,
            camera_id=None if self.camera_id is None else CameraId(self.camera_id),
        )


# For the documentation: the form itself is parsed while it arrives, by `MultipartVideo`.
UPLOAD_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream", "description": "The video."},
        "title": {"type": "string", "maxLength": TITLE_MAX, "description": "The name of the file when left out."},
        "description": {"type": "string", "maxLength": DESCRIPTION_MAX},
        "captured_at": {
            "type": "string",
            "format": "date-time",
            "description": "The time at which second 0 of the video was captured; RFC 3339 with a time zone.",
            "examples": ["2026-05-01T06:00:00Z"],
        },
        "camera_id": CAMERA_ID_SCHEMA,
        "spec": {"$ref": "#/components/schemas/SpecBody"},
    },
}


class SourceBody(Body):
    kind: SourceKind
    name: str


class ContentBody(Body):
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, content: StoredContent | None) -> "ContentBody | None":
        return None if content is None else cls(size_bytes=content.size_bytes, sha256=content.sha256)


class MediaBody(Body):
    """Properties of the video stream. Width and height are in pixels, as a player shows the picture."""

    container: str
    codec: str
    width: int
    height: int
    rotation: int
    duration_s: float
    frame_rate: float
    frame_count: int

    @classmethod
    def of(cls, media: MediaInfo | None) -> "MediaBody | None":
        if media is None:
            return None
        return cls(
            container=media.container,
            codec=media.codec,
            width=media.width,
            height=media.height,
            rotation=media.rotation,
            duration_s=media.duration_s,
            frame_rate=media.frame_rate,
            frame_count=media.frame_count,
        )


class VideoBody(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_VIDEO_EXAMPLE]})

    id: UUID
    status: VideoStatus
    title: str
    description: str | None
    captured_at: Timestamp | None
    camera_id: str | None
    source: SourceBody
    content: ContentBody | None
    media: MediaBody | None
    error: ErrorBody | None
    created_by: str
    created_at: Timestamp
    updated_at: Timestamp
    expires_at: Timestamp | None = Field(
        description="The time at which the video and its results are deleted; null for never."
    )

    @classmethod
    def of(cls, video: Video) -> "VideoBody":
        return cls(**_video_fields(video))


class VideoWithJob(VideoBody):
    """A video and its newest job."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [_VIDEO_EXAMPLE | {"job": JOB_EXAMPLE | {"status": "succeeded"}}]},
    )

    job: JobBody | None

    @classmethod
    def of_report(cls, report: VideoReport, now: datetime) -> "VideoWithJob":
        job = None if report.job is None else JobBody.of_report(report.job, now)
        return cls(**_video_fields(report.video), job=job)


class Registered(Body):
    """The video that was accepted, and the job that analyses it."""

    video: VideoBody
    job: JobBody


class VideoList(Body):
    items: list[VideoBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: VideoPage) -> "VideoList":
        return cls(items=[VideoBody.of(video) for video in page.items], next_cursor=page.next_cursor)


def _video_fields(video: Video) -> dict[str, Any]:
    return {
        "id": video.id,
        "status": video.status,
        "title": video.title,
        "description": video.description,
        "captured_at": video.captured_at,
        "camera_id": None if video.camera_id is None else video.camera_id.value,
        "source": SourceBody(kind=video.source.kind, name=video.source.name),
        "content": ContentBody.of(video.content),
        "media": MediaBody.of(video.media),
        "error": ErrorBody.of(video.failure),
        "created_by": str(video.created_by),
        "created_at": video.created_at,
        "updated_at": video.updated_at,
        "expires_at": video.expires_at,
    }
