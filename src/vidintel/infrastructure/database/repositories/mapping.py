"""Mapping of fields that several entities share, and of violated constraints to domain errors."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.domain.errors import DomainError, JobAlreadyActive
from vidintel.domain.video import Failure, VideoId
from vidintel.infrastructure.database.tables import ACTIVE_JOB_OF_VIDEO

_CHANGED = "changed_videos"
_BROKEN_CONSTRAINTS: Mapping[str, Callable[[], DomainError]] = {ACTIVE_JOB_OF_VIDEO: JobAlreadyActive}


@contextmanager
def domain_errors() -> Iterator[None]:
    """Raise the domain error for a violated constraint. After it, the transaction can only be rolled back."""
    try:
        yield
    except IntegrityError as error:
        driver_error = error.orig.__cause__ if error.orig is not None else None
        translated = _BROKEN_CONSTRAINTS.get(getattr(driver_error, "constraint_name", None) or "")
        if translated is None:
            raise
        raise translated() from error


def note_change(session: AsyncSession, video_id: VideoId) -> None:
    """Record that the transaction changes the video, its jobs or their progress."""
    session.info.setdefault(_CHANGED, set()).add(video_id)


def changes_of(session: AsyncSession) -> frozenset[VideoId]:
    """The videos that `note_change` recorded in this session."""
    return frozenset(session.info.get(_CHANGED, ()))


def failure_to_row(failure: Failure | None) -> dict[str, object]:
    return {
        "failure_code": failure.code if failure else None,
        "failure_detail": failure.detail if failure else None,
    }


def failure_to_entity(row: Row[Any]) -> Failure | None:
    return None if row.failure_code is None else Failure(row.failure_code, row.failure_detail)
