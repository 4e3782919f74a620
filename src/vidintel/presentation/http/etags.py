"""``If-None-Match``: whether a client already has what it asks for."""

from typing import Annotated, TypeAlias

from fastapi import Header

IfNoneMatch: TypeAlias = Annotated[str | None, Header()]


def has_it(if_none_match: str | None, etag: str) -> bool:
    """Whether the header names ``etag`` (RFC 9110, 13.1.2): ``*`` stands for any, and ``W/`` makes no difference."""
    if if_none_match is None:
        return False
    tags = [tag.strip() for tag in if_none_match.split(",")]
    return tags == ["*"] or etag in (tag.removeprefix("W/") for tag in tags)
