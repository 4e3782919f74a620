"""Validation of object keys, and upload ids, which contain a key."""

import re
from uuid import uuid4

from vidintel.application.ports import UploadId

_KEY = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")
_UNIQUE = re.compile(r"[0-9a-f]{32}")


def require_key(key: str) -> str:
    """``key`` unchanged. Raises `ValueError` for an invalid key, such as one that could leave its folder."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not an object key: {key!r}")
    return key


def new_upload_id(key: str) -> UploadId:
    """A new id for an upload to ``key``. Raises `ValueError` as `require_key` does."""
    return UploadId(f"{uuid4().hex}/{require_key(key)}")


def parts_of(upload: UploadId) -> tuple[str, str]:
    """The unique part of the id, and the key. Raises `ValueError` when ``upload`` is not a valid id."""
    unique, _, key = upload.partition("/")
    if not _UNIQUE.fullmatch(unique):
        raise ValueError(f"not an upload id: {upload!r}")
    return unique, require_key(key)
