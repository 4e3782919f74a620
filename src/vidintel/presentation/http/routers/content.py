"""``/api/v1/videos/{id}/content``: the bytes as they were sent, in ranges."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException
from starlette.responses import RedirectResponse, Response, StreamingResponse

from vidintel.domain.errors import StorageError, StorageUnavailable, VideoNotFound
from vidintel.domain.video import MediaInfo, VideoId
from vidintel.presentation.http.dependencies import Caller, Services, VideoIdPath, guarded, value_of
from vidintel.presentation.http.etags import IfNoneMatch, has_it
from vidintel.presentation.http.openapi import problems
from vidintel.presentation.http.responses import resumed
from vidintel.presentation.http.schemas.common import VIDEO_ID

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")
_UNKNOWN = ("application/octet-stream", "bin")
# By the name of one of the demuxer's formats, the first that fits.
_MEDIA_TYPES: Mapping[str, tuple[str, str]] = {
    "mp4": ("video/mp4", "mp4"),
    "webm": ("video/webm", "webm"),
    "matroska": ("video/x-matroska", "mkv"),
    "avi": ("video/x-msvideo", "avi"),
    "mpegts": ("video/mp2t", "ts"),
    "mpeg": ("video/mpeg", "mpg"),
    "ogg": ("video/ogg", "ogv"),
    "flv": ("video/x-flv", "flv"),
    "asf": ("video/x-ms-asf", "asf"),
}
_CONTENT: dict[str, Any] = {media_type: {} for media_type, _ in (*_MEDIA_TYPES.values(), _UNKNOWN)}
_WEBM_CODECS = frozenset({"vp8", "vp9", "av1"})

router = APIRouter(prefix="/api/v1/videos", tags=["videos"], dependencies=guarded)


@router.get(
    "/{video_id}/content",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The whole file.", "content": _CONTENT},
        206: {"description": "The range that was asked for.", "content": _CONTENT},
        304: {"description": "What `If-None-Match` names is what is here."},
        307: {"description": "Where the bytes are to be had for a few minutes, without a token: the storage itself."},
        416: {"description": "The range begins after the end of the file; `Content-Range` says its size."},
        **problems(VideoNotFound(VIDEO_ID), StorageError("There is no such object."), StorageUnavailable()),
    },
)
async def get_content(
    caller: Caller,
    services: Services,
    video_id: VideoIdPath,
    range_: Annotated[str | None, Header(alias="Range", examples=["bytes=0-65535"])] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The bytes of the video as they were sent. One range can be asked for; several are answered with the whole."""
    content = value_of(await services.open_content(caller, video_id))
    media_type, name = _named(video_id, content.media)
    headers = _headers(content.sha256, name)
    etag = headers["ETag"]
    if has_it(if_none_match, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    link = await content.link(media_type=media_type, file_name=name)
    if link is not None:
        # The link is as good as the bytes, and expires.
        return RedirectResponse(link, HTTPStatus.TEMPORARY_REDIRECT, {"Cache-Control": "private, no-store"})
    size = content.size_bytes
    wanted = _range(range_, size) if if_range in (None, etag) else None
    if wanted is None:
        start, end, status = 0, size, HTTPStatus.OK
    elif wanted.start >= size:
        raise HTTPException(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers={"Content-Range": f"bytes */{size}"})
    else:
        start, end, status = wanted.start, wanted.stop, HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    chunks = content.read(start, end)
    # Whether the storage has the bytes shows with the first of them: until then, the answer can still be an error.
    first = await anext(chunks, b"")
    return StreamingResponse(resumed(first, chunks), status_code=status, headers=headers, media_type=media_type)


@router.head(
    "/{video_id}/content",
    response_class=Response,
    responses={
        200: {"description": "What `GET` would say of the whole file."},
        304: {"description": "What `If-None-Match` names is what is here."},
        **problems(VideoNotFound(VIDEO_ID)),
    },
)
async def head_content(
    caller: Caller, services: Services, video_id: VideoIdPath, if_none_match: IfNoneMatch = None
) -> Response:
    """Size, media type and hash of the bytes, from what is known of the video; the storage is not asked."""
    content = value_of(await services.open_content(caller, video_id))
    media_type, name = _named(video_id, content.media)
    headers = _headers(content.sha256, name)
    if has_it(if_none_match, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(headers=headers | {"Content-Length": str(content.size_bytes)}, media_type=media_type)


def _headers(sha256: str, name: str) -> dict[str, str]:
    return {
        "ETag": f'"{sha256}"',
        "Accept-Ranges": "bytes",
        # Players ask for many ranges: they may keep them, and ask again whether they are still true.
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{name}"',
    }


def _range(header: str | None, size: int) -> range | None:
    """The bytes a ``Range`` header asks for (RFC 9110, 14.2), starting at ``size`` when there are none such.

    ``None`` when the whole is to be sent: no header, or one that asks for nothing we understand.
    """
    match = _RANGE.fullmatch(header.strip()) if header is not None else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        suffix = int(last)
        return range(max(0, size - suffix), size) if suffix else range(size, size)
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return range(start, stop) if start < size else range(size, size)


def _named(video_id: VideoId, media: MediaInfo | None) -> tuple[str, str]:
    """Media type and file name. What the client called the file is no part of it: a header is no place for that."""
    media_type, extension = _UNKNOWN if media is None else _media_type(media)
    return media_type, f"{video_id}.{extension}"


def _media_type(media: MediaInfo) -> tuple[str, str]:
    formats = media.container.split(",")
    for name, found in _MEDIA_TYPES.items():
        # Matroska and WebM share a demuxer: the codec tells which of the two a browser can play.
        if name in formats and (name != "webm" or media.codec in _WEBM_CODECS):
            return found
    return _UNKNOWN
