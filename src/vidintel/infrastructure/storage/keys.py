"""What may be a key."""

import re

_KEY = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")


def require_key(key: str) -> str:
    """``key`` as it is. Raises `ValueError` when it is none of ours, such as one that could leave its folder."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not an object key: {key!r}")
    return key
