"""Everything that can go wrong in the domain, each with a stable ``code``.

::

    DomainError
    ├── ValidationError                     a value breaks a rule
    ├── AuthenticationError                 the caller is unknown
    ├── AuthorizationError                  the caller lacks a permission
    ├── NotFoundError                       absent, or of another tenant
    │   ├── VideoNotFound  JobNotFound  ResultNotFound  FrameNotFound  UploadNotFound
    ├── ConflictError                       the state does not allow it
    │   ├── InvalidTransition  JobAlreadyActive  LeaseLost  UploadOffsetMismatch  UploadInUse
    ├── PayloadTooLarge                     too many bytes
    ├── UnsupportedMedia                    the content is not a supported video
    │   ├── EmptyFile  NotAVideo  NoVideoStream
    ├── BusinessRuleViolation               a valid request that cannot be carried out
    │   ├── UnknownModel  UnknownLabel  UnreadableVideo  NoFrames
    │   ├── ResolutionUnsupported  DurationExceeded  ModelUnusable  AttemptsExhausted  WorkInterrupted
    ├── RateLimited                         too many requests
    ├── ExternalServiceError                another service failed
    │   └── StorageError
    └── ServiceUnavailable                  try again later
        └── StorageFull  StorageUnavailable

A message says what to do about it. HTTP status codes live at the HTTP edge, never here.
"""

from collections.abc import Mapping
from typing import ClassVar


class DomainError(Exception):
    """Root of the tree. ``detail`` is safe to show to a client; ``context`` carries structured facts about it."""

    code: ClassVar[str] = "domain_error"

    def __init__(self, detail: str, **context: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.context: Mapping[str, object] = context


class ValidationError(DomainError):
    """A value breaks a rule. ``field`` names it when it came from a request."""

    code = "validation_failed"

    def __init__(self, detail: str, *, field: str | None = None, **context: object) -> None:
        super().__init__(detail, **context)
        self.field = field


class AuthenticationError(DomainError):
    code = "authentication_required"


class AuthorizationError(DomainError):
    code = "permission_denied"


class NotFoundError(DomainError):
    code = "not_found"


class VideoNotFound(NotFoundError):
    code = "video_not_found"

    def __init__(self, video_id: object) -> None:
        super().__init__(f"There is no video {video_id}.", video_id=str(video_id))


class JobNotFound(NotFoundError):
    code = "job_not_found"

    def __init__(self, job_id: object) -> None:
        super().__init__(f"There is no job {job_id}.", job_id=str(job_id))


class ResultNotFound(NotFoundError):
    code = "result_not_found"


class FrameNotFound(NotFoundError):
    code = "frame_not_found"


class UploadNotFound(NotFoundError):
    """The upload was finished, aborted or removed, so that nothing can be appended to it."""

    code = "upload_not_found"

    def __init__(self) -> None:
        super().__init__("This upload does not exist, or is finished. Start a new one.")


class ConflictError(DomainError):
    code = "conflict"


class InvalidTransition(ConflictError):
    """A state machine refused to move from ``current`` to ``target``."""

    code = "invalid_transition"

    def __init__(self, subject: str, current: str, target: str) -> None:
        super().__init__(f"A {subject} that is {current} cannot become {target}.", current=current, target=target)
        self.current = current
        self.target = target


class JobAlreadyActive(ConflictError):
    code = "job_already_active"

    def __init__(self, detail: str = "This video has an active job. Wait until the job ends, or cancel it.") -> None:
        super().__init__(detail)


class LeaseLost(ConflictError):
    """The work was taken over, cancelled or deleted in the meantime. The worker must not write its results."""

    code = "lease_lost"

    def __init__(self, detail: str = "Another worker holds the lease of this work item.") -> None:
        super().__init__(detail)


class UploadOffsetMismatch(ConflictError):
    """Bytes were sent for the offset ``given``, but the upload has ``current`` bytes."""

    code = "upload_offset_mismatch"

    def __init__(self, given: int, current: int) -> None:
        super().__init__(
            f"The next byte of the upload is at offset {current}, not {given}.", given=given, current=current
        )
        self.given = given
        self.current = current


class UploadInUse(ConflictError):
    code = "upload_in_use"

    def __init__(self) -> None:
        super().__init__("Another request is writing to this upload. Read its offset, and continue from there.")


class PayloadTooLarge(DomainError):
    code = "payload_too_large"

    def __init__(self, limit_bytes: int, subject: str = "file") -> None:
        super().__init__(f"The {subject} is larger than the limit of {limit_bytes} bytes.", limit_bytes=limit_bytes)


class UnsupportedMedia(DomainError):
    code = "unsupported_media"


class EmptyFile(UnsupportedMedia):
    code = "empty_file"

    def __init__(self) -> None:
        super().__init__("The file is empty. Send a video.")


class NotAVideo(UnsupportedMedia):
    code = "not_a_video"

    def __init__(self, detail: str = "The content is not a video in a supported container format.") -> None:
        super().__init__(detail)


class NoVideoStream(UnsupportedMedia):
    code = "no_video_stream"

    def __init__(self) -> None:
        super().__init__("The file has no video stream. It may contain audio only.")


class BusinessRuleViolation(DomainError):
    code = "business_rule_violated"


class UnknownModel(BusinessRuleViolation):
    code = "unknown_model"

    def __init__(self, name: str, available: tuple[str, ...]) -> None:
        known = ", ".join(available) or "none"
        super().__init__(f"There is no model '{name}'. Available models: {known}.", available=available)


class UnknownLabel(BusinessRuleViolation):
    code = "unknown_label"

    def __init__(self, label: str, model: str, labels: tuple[str, ...]) -> None:
        super().__init__(f"Model '{model}' has no label '{label}'. Its labels: {', '.join(labels)}.", labels=labels)


class UnreadableVideo(BusinessRuleViolation):
    code = "unreadable_video"


class NoFrames(BusinessRuleViolation):
    code = "no_frames"

    def __init__(self) -> None:
        super().__init__("The video stream has no frame that can be decoded.")


class ResolutionUnsupported(BusinessRuleViolation):
    code = "resolution_unsupported"


class DurationExceeded(BusinessRuleViolation):
    code = "duration_exceeded"


class ModelUnusable(BusinessRuleViolation):
    """The model's files are missing or damaged, or the model is not an object detector."""

    code = "model_unusable"


class AttemptsExhausted(BusinessRuleViolation):
    """Every allowed attempt at a work item failed."""

    code = "attempts_exhausted"


class WorkInterrupted(BusinessRuleViolation):
    """The processes that worked on something were stopped from outside too often."""

    code = "work_interrupted"


class RateLimited(DomainError):
    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ExternalServiceError(DomainError):
    code = "external_service_failed"


class StorageError(ExternalServiceError):
    code = "storage_failed"


class ServiceUnavailable(DomainError):
    """``retryable``: nothing was committed. ``contended``: a lock or connection was not available in time."""

    code = "service_unavailable"

    def __init__(
        self, detail: str, *, retry_after_s: float = 5.0, retryable: bool = False, contended: bool = False
    ) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.retryable = retryable
        self.contended = contended


class StorageFull(ServiceUnavailable):
    code = "storage_full"

    def __init__(self) -> None:
        super().__init__("The storage has no room for this file. Try again later.", retry_after_s=300)


class StorageUnavailable(ServiceUnavailable):
    """The storage does not answer, or rejects our credentials. The cause is temporary and not in the file."""

    code = "storage_unavailable"

    def __init__(
        self, detail: str = "The storage does not answer. Try again in a moment.", *, retry_after_s: float = 5.0
    ) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
