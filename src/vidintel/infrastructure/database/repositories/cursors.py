"""Opaque keyset cursors: url-safe base64 of the JSON array of the last row's key."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from vidintel.domain.analysis import AnalysisJob
from vidintel.domain.errors import ValidationError
from vidintel.domain.video import Video

Listed = TypeVar("Listed", Video, AnalysisJob)


def page_of_newest(found: Sequence[Listed], limit: int) -> tuple[Sequence[Listed], str | None]:
    """The first ``limit`` of what was found, and the cursor after them when more was found."""
    shown = found[:limit]
    return shown, encode_newest(shown[-1].created_at, shown[-1].id) if len(found) > limit else None


def encode_newest(created_at: datetime, row_id: UUID) -> str:
    """The cursor after a row of a list that is ordered newest first."""
    return _encode(created_at.isoformat(), str(row_id))


def decode_newest(cursor: str) -> tuple[datetime, UUID]:
    """Raises `ValidationError` for anything that `encode_newest` did not make."""
    created_at, row_id = _decode(cursor)
    try:
        moment = datetime.fromisoformat(str(created_at))
        if moment.tzinfo is None:
            raise _bad_cursor()
        return moment.astimezone(UTC), UUID(str(row_id))
    except (ValueError, OverflowError):
        raise _bad_cursor() from None


def encode_position(frame: int, position: int) -> str:
    """The cursor after one detection."""
    return _encode(frame, position)


def decode_position(cursor: str) -> tuple[int, int]:
    """Raises `ValidationError` for anything that `encode_position` did not make."""
    frame, position = _decode(cursor)
    if not (type(frame) is int and type(position) is int and 0 <= frame < 2**31 and 0 <= position < 2**15):
        raise _bad_cursor()
    return frame, position


def encode_track(track_id: int) -> str:
    """The cursor after one track."""
    return _encode("track", track_id)


def decode_track(cursor: str) -> int:
    """Raises `ValidationError` for anything that `encode_track` did not make."""
    kind, track_id = _decode(cursor)
    if not (kind == "track" and type(track_id) is int and 0 <= track_id < 2**31):
        raise _bad_cursor()
    return track_id


def _encode(*key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[object, object]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise _bad_cursor() from None
    if not isinstance(key, list) or len(key) != 2:
        raise _bad_cursor()
    return key[0], key[1]


def _bad_cursor() -> ValidationError:
    return ValidationError("The cursor is not valid. Use next_cursor of the previous page unchanged.", field="cursor")
