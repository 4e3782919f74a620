"""``/api/v1/videos/{id}/content``: the bytes as they were sent, in ranges."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, HTTPException
from starlette.responses import RedirectResponse, Response, StreamingResponse

from vidintel.application.videos.content import ContentReader
from vidintel.domain.errors import StorageError, StorageUnavailable, VideoNotFound
from vidintel.domain.video import MediaInfo, VideoId
from vidintel.presentation.http.dependencies import Caller, Services, VideoIdPath
from vidintel.presentation.http.etags import IfNoneMatch, has_it
from vidintel.presentation.http.openapi import problems
from vidintel.presentation.http.responses import StoredBytes, answer, answer_async
from vidintel.presentation.http.routing import Router
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

router = Router("/api/v1/videos", tags=["videos"])


# HEAD stands before GET, because GET would answer HEAD as well, and with a redirect that is good for GET only.
@router.head(
    "/{video_id}/content",
    response_class=Response,
    responses={
        200: {"description": "The headers of a `GET` of the whole file."},
        304: {"description": "The stored bytes are the ones that `If-None-Match` names."},
        **problems(VideoNotFound(VIDEO_ID)),
    },
)
async def head_content(
    caller: Caller, services: Services, video_id: VideoIdPath, if_none_match: IfNoneMatch = None
) -> Response:
    """Size, media type and hash of the bytes, from the record of the video. The storage is not read."""

    def described(content: ContentReader) -> Response:
        media_type, headers = _described(video_id, content)
        if has_it(if_none_match, headers["ETag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(headers=headers | {"Content-Length": str(content.size_bytes)}, media_type=media_type)

    return answer(await services.open_content(caller, video_id), described)


@router.get(
    "/{video_id}/content",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The whole file.", "content": _CONTENT},
        206: {"description": "The requested range.", "content": _CONTENT},
        304: {"description": "The stored bytes are the ones that `If-None-Match` names."},
        307: {"description": "A link to the storage, which needs no token and expires after a few minutes."},
        416: {"description": "The range begins after the end of the file; `Content-Range` contains its size."},
        **problems(VideoNotFound(VIDEO_ID), StorageError("The stored object is missing."), StorageUnavailable()),
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
    """The uploaded bytes of the video, unchanged. A request for several ranges gets the whole file."""

    async def sent(content: ContentReader) -> Response:
        media_type, headers = _described(video_id, content)
        if has_it(if_none_match, headers["ETag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        link = await content.link(media_type=media_type, file_name=_named(video_id, content.media)[1])
        if link is not None:
            # Whoever has the link can read the bytes until it expires.
            return RedirectResponse(link, HTTPStatus.TEMPORARY_REDIRECT, {"Cache-Control": "private, no-store"})
        wanted = _range(range_, content.size_bytes) if if_range in (None, headers["ETag"]) else None
        return _bytes(content, wanted, media_type, headers)

    return await answer_async(await services.open_content(caller, video_id), sent)


def _bytes(content: ContentReader, wanted: range | None, media_type: str, headers: dict[str, str]) -> Response:
    size = content.size_bytes
    if wanted is None:
        start, end, status = 0, size, HTTPStatus.OK
    elif wanted.start >= size:
        raise HTTPException(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers={"Content-Range": f"bytes */{size}"})
    else:
        start, end, status = wanted.start, wanted.stop, HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    return StoredBytes(content.read(start, end), status_code=status, headers=headers, media_type=media_type)


def _described(video_id: VideoId, content: ContentReader) -> tuple[str, dict[str, str]]:
    """The media type, and the headers of every answer with or about the bytes."""
    media_type, name = _named(video_id, content.media)
    return media_type, _headers(content.sha256, name)


def _headers(sha256: str, name: str) -> dict[str, str]:
    return {
        "ETag": f'"{sha256}"',
        "Accept-Ranges": "bytes",
        # Players ask for many ranges: they may store them, and must revalidate them.
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{name}"',
    }


def _range(header: str | None, size: int) -> range | None:
    """The bytes that a ``Range`` header asks for (RFC 9110, 14.2). It starts at ``size`` if the file has none of them.

    ``None`` stands for the whole file: there is no header, or it is not a single range of bytes.
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
    """Media type and file name. The name that the client gave is left out: it could contain anything."""
    media_type, extension = _UNKNOWN if media is None else _media_type(media)
    return media_type, f"{video_id}.{extension}"


def _media_type(media: MediaInfo) -> tuple[str, str]:
    formats = media.container.split(",")
    for name, found in _MEDIA_TYPES.items():
        # Matroska and WebM share a demuxer: the codec tells which of the two a browser can play.
        if name in formats and (name != "webm" or media.codec in _WEBM_CODECS):
            return found
    return _UNKNOWN
