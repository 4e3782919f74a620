"""A registered video, and the states it goes through."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from vidintel.domain.errors import ConflictError, DomainError, InvalidTransition, ValidationError
from vidintel.domain.identity import TenantId, UserId

VideoId = NewType("VideoId", UUID)
JobId = NewType("JobId", UUID)
"""The id of a job (`vidintel.domain.analysis`). It is defined here because a video names its current job."""

TITLE_MAX = 200
DESCRIPTION_MAX = 5_000
CAMERA_ID_MAX = 200
_FILE_NAME_MAX = 255
_EARLIEST_CAPTURE = datetime(1888, 1, 1, tzinfo=UTC)


class VideoStatus(StrEnum):
    PENDING = "pending"
    UPLOADED = "uploaded"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


VIDEO_TRANSITIONS: Mapping[VideoStatus, frozenset[VideoStatus]] = {
    VideoStatus.PENDING: frozenset({VideoStatus.UPLOADED, VideoStatus.FAILED}),
    VideoStatus.UPLOADED: frozenset({VideoStatus.PROCESSING}),
    VideoStatus.PROCESSING: frozenset({VideoStatus.COMPLETED, VideoStatus.FAILED, VideoStatus.UPLOADED}),
    VideoStatus.COMPLETED: frozenset({VideoStatus.PROCESSING}),
    VideoStatus.FAILED: frozenset({VideoStatus.PROCESSING}),
}


class SourceKind(StrEnum):
    UPLOAD = "upload"
    URL = "url"


@dataclass(frozen=True, slots=True)
class VideoSource:
    """Where the bytes come from. ``name`` is the client's name for it: it is displayed, never used as a path."""

    kind: SourceKind
    name: str

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= _FILE_NAME_MAX:
            raise ValidationError(f"A file name must have 1 to {_FILE_NAME_MAX} characters.", field="file")
        if any(ord(character) < 32 for character in self.name):
            raise ValidationError("A file name must not contain control characters.", field="file")


@dataclass(frozen=True, slots=True)
class CameraId:
    """Which camera recorded a video, in the client's own words: 1 to 200 printable characters, compared exactly."""

    value: str

    def __post_init__(self) -> None:
        if not (0 < len(self.value) <= CAMERA_ID_MAX and self.value.isprintable() and self.value == self.value.strip()):
            raise ValidationError(
                f"A camera_id has 1 to {CAMERA_ID_MAX} printable characters, with no space at either end.",
                field="camera_id",
            )

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class StoredContent:
    """The bytes in the object storage. ``sha256`` is 64 lower-case hex digits."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What probing found. ``width`` and ``height`` are pixels of the displayed (rotated) picture.

    ``frame_count`` counts the presentable frames; ``frame_rate`` is their average per second.
    """

    container: str
    codec: str
    width: int
    height: int
    rotation: int
    duration_s: float
    frame_rate: float
    frame_count: int


@dataclass(frozen=True, slots=True)
class MediaWarning:
    """A fault of a video that can still be read: a stable code, a sentence for the client, and where (seconds)."""

    code: str
    detail: str
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class WarningSummary:
    """All warnings of one code: their number, the detail of the first one, and the earliest place (seconds)."""

    code: str
    detail: str
    count: int
    first_at_s: float | None

    @classmethod
    def of(cls, warnings: Iterable[MediaWarning]) -> tuple["WarningSummary", ...]:
        """One for each code, in the order in which the codes appear."""
        by_code: dict[str, list[MediaWarning]] = {}
        for warning in warnings:
            by_code.setdefault(warning.code, []).append(warning)
        return tuple(
            cls(
                code,
                same[0].detail,
                len(same),
                min((each.at_s for each in same if each.at_s is not None), default=None),
            )
            for code, same in by_code.items()
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed: the stable code of the error, and a sentence for the client."""

    code: str
    detail: str

    @classmethod
    def of(cls, error: DomainError) -> "Failure":
        return cls(error.code, error.detail)


def validate_title(title: str) -> str:
    """Return ``title`` stripped; raise `ValidationError` when it is empty or too long."""
    stripped = title.strip()
    if not 0 < len(stripped) <= TITLE_MAX or not _is_text(stripped):
        raise ValidationError(f"A title must have 1 to {TITLE_MAX} characters.", field="title")
    return stripped


def validate_description(description: str | None) -> str | None:
    """Return ``description`` stripped, ``None`` when empty; raise `ValidationError` when too long."""
    stripped = (description or "").strip()
    if len(stripped) > DESCRIPTION_MAX or not _is_text(stripped):
        raise ValidationError(f"A description must have at most {DESCRIPTION_MAX} characters.", field="description")
    return stripped or None


def _is_text(value: str) -> bool:
    """Whether a database can store the text: without NUL and lone surrogates, both of which JSON can escape."""
    return not any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in value)


def validate_captured_at(captured_at: datetime | None, now: datetime) -> datetime | None:
    """Return ``captured_at`` in UTC; raise `ValidationError` for a naive, absurdly old or future time."""
    if captured_at is None:
        return None
    if captured_at.tzinfo is None:
        raise ValidationError("captured_at needs a time zone, for example 2026-05-01T12:00:00Z.", field="captured_at")
    with suppress(OverflowError):
        in_utc = captured_at.astimezone(UTC)
        if _EARLIEST_CAPTURE <= in_utc <= now:
            return in_utc
    raise ValidationError("captured_at must lie between 1888-01-01 and now.", field="captured_at")


@dataclass(eq=False, kw_only=True, slots=True)
class Video:
    """One video of one tenant. Status, content, media, failure and current job change only through its methods."""

    id: VideoId
    tenant_id: TenantId
    created_by: UserId
    source: VideoSource
    title: str
    description: str | None
    captured_at: datetime | None
    camera_id: CameraId | None
    created_at: datetime
    _updated_at: datetime
    _expires_at: datetime | None = None
    _status: VideoStatus = VideoStatus.PENDING
    _content: StoredContent | None = None
    _media: MediaInfo | None = None
    _failure: Failure | None = None
    _current_job_id: JobId | None = None

    @classmethod
    def register(
        cls,
        *,
        video_id: VideoId,
        tenant_id: TenantId,
        created_by: UserId,
        source: VideoSource,
        now: datetime,
        title: str | None = None,
        description: str | None = None,
        captured_at: datetime | None = None,
        camera_id: CameraId | None = None,
        expires_at: datetime | None = None,
    ) -> "Video":
        """A new ``pending`` video; the title falls back to the source's name. Raises `ValidationError`."""
        return cls(
            id=video_id,
            tenant_id=tenant_id,
            created_by=created_by,
            source=source,
            title=validate_title(title if title is not None else source.name[:TITLE_MAX]),
            description=validate_description(description),
            captured_at=validate_captured_at(captured_at, now),
            camera_id=camera_id,
            created_at=now,
            _updated_at=now,
            _expires_at=expires_at,
        )

    @property
    def status(self) -> VideoStatus:
        return self._status

    @property
    def content(self) -> StoredContent | None:
        return self._content

    @property
    def media(self) -> MediaInfo | None:
        return self._media

    @property
    def failure(self) -> Failure | None:
        return self._failure

    @property
    def current_job_id(self) -> JobId | None:
        """The job whose results were published last; ``None`` before the first one.

        When a client names no job, the video's answers come from this one. A later job replaces it once its results
        are published.
        """
        return self._current_job_id

    @property
    def expires_at(self) -> datetime | None:
        """When the video is deleted; ``None`` for never. The operator's `RetentionRules` set it."""
        return self._expires_at

    @property
    def updated_at(self) -> datetime:
        return self._updated_at

    def attach_content(self, content: StoredContent, now: datetime) -> None:
        """The content is stored: ``pending`` → ``uploaded``."""
        self._move_to(VideoStatus.UPLOADED, now)
        self._content = content

    def require_content(self) -> None:
        """Raise `ConflictError` when the content is missing and will not arrive any more."""
        if self._content is None and self._status is VideoStatus.FAILED:
            raise ConflictError("The content of this video is missing. Upload the video again.")

    def begin_processing(self, now: datetime) -> None:
        """A job started: → ``processing``; an earlier failure is cleared."""
        self._move_to(VideoStatus.PROCESSING, now)
        self._failure = None

    def describe_media(self, media: MediaInfo, now: datetime) -> None:
        """Record what probing found; only while ``processing``."""
        if self._status is not VideoStatus.PROCESSING:
            raise InvalidTransition("video", self._status, "probed")
        self._media = media
        self._updated_at = now

    def complete(self, job_id: JobId, now: datetime) -> None:
        """A job has succeeded: → ``completed``, and its results are the current ones.

        Call it in the transaction that publishes these results.
        """
        self._move_to(VideoStatus.COMPLETED, now)
        self._current_job_id = job_id

    def fail(self, failure: Failure, now: datetime) -> None:
        """The analysis failed, or the content of a ``pending`` video will not arrive."""
        self._move_to(VideoStatus.FAILED, now)
        self._failure = failure

    def abandon_processing(self, now: datetime) -> None:
        """The running job was cancelled: ``processing`` → ``uploaded``."""
        self._move_to(VideoStatus.UPLOADED, now)

    def edit(
        self,
        now: datetime,
        *,
        fields: frozenset[str],
        title: str | None = None,
        description: str | None = None,
        captured_at: datetime | None = None,
        camera_id: CameraId | None = None,
    ) -> None:
        """Change the ``fields`` that are named, to the values given here. Raises `ValidationError`."""
        if "title" in fields:
            if title is None:
                raise ValidationError("A title must not be null.", field="title")
            self.title = validate_title(title)
        if "description" in fields:
            self.description = validate_description(description)
        if "captured_at" in fields:
            self.captured_at = validate_captured_at(captured_at, now)
        if "camera_id" in fields:
            self.camera_id = camera_id
        self._updated_at = now

    def _move_to(self, target: VideoStatus, now: datetime) -> None:
        if target not in VIDEO_TRANSITIONS[self._status]:
            raise InvalidTransition("video", self._status, target)
        self._status = target
        self._updated_at = now
