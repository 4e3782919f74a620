"""The bytes of a video, in ranges (RFC 9110, 14)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.unit.http.edge import Edge, Raising, assert_problem
from tests.unit.http.samples import MEDIA, SHA256, VIDEO_ID
from vidintel.domain.errors import StorageError, StorageUnavailable
from vidintel.domain.video import MediaInfo

URL = f"/api/v1/videos/{VIDEO_ID}/content"
BYTES = bytes(range(100))
ETAG = f'"{SHA256}"'


class Content:
    size_bytes = len(BYTES)
    sha256 = SHA256

    def __init__(self, media: MediaInfo | None = MEDIA) -> None:
        self.media = media

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        for position in range(start, end, 7):
            yield BYTES[position : min(position + 7, end)]

    async def link(self, *, media_type: str, file_name: str) -> str | None:
        return None


class Linked(Content):
    async def link(self, *, media_type: str, file_name: str) -> str | None:
        return f"https://bucket.test/object?type={media_type}&name={file_name}"


class Untouched(Content):
    """Fails whoever asks the storage."""

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        raise AssertionError

    async def link(self, *, media_type: str, file_name: str) -> str | None:
        raise AssertionError


class Down(Content):
    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        return Raising(StorageUnavailable(retry_after_s=7.5))


class Missing(Content):
    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        return Raising(StorageError("The object is gone."))


async def test_without_a_range_the_whole_is_sent(edge: Edge) -> None:
    edge.answers["open_content"] = Content()

    async with edge.client() as client:
        response = await client.get(URL)

    assert (response.status_code, response.content) == (200, BYTES)
    assert response.headers["content-length"] == "100"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"] == ETAG
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["content-disposition"] == f'inline; filename="{VIDEO_ID}.mp4"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "private, no-cache"


async def test_a_head_tells_of_the_whole_without_the_storage(edge: Edge) -> None:
    edge.answers["open_content"] = Untouched()

    async with edge.client() as client:
        response = await client.head(URL, headers={"Range": "bytes=0-9"})
        again = await client.head(URL, headers={"If-None-Match": ETAG})

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "100"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"] == ETAG
    assert response.headers["content-type"] == "video/mp4"
    assert again.status_code == 304


async def test_content_that_has_a_link_is_redirected_to_and_the_link_is_not_kept(edge: Edge) -> None:
    edge.answers["open_content"] = Linked()

    async with edge.client() as client:
        response = await client.get(URL, headers={"Range": "bytes=0-9"})

    assert response.status_code == 307
    assert response.headers["location"] == f"https://bucket.test/object?type=video/mp4&name={VIDEO_ID}.mp4"
    assert response.headers["cache-control"] == "private, no-store"


async def test_a_storage_that_is_down_is_told_at_once_and_when_to_ask_again(edge: Edge) -> None:
    edge.answers["open_content"] = Down()

    async with edge.client() as client:
        response = await client.get(URL)

    assert_problem(response, 503, "storage_unavailable")
    assert response.headers["retry-after"] == "8"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=10-19", 10, 20),
        ("bytes=90-", 90, 100),
        ("bytes=90-4000", 90, 100),
        ("bytes=-10", 90, 100),
        ("bytes=-4000", 0, 100),
        (" bytes=5-5 ", 5, 6),
    ],
)
async def test_a_range_is_sent_alone(edge: Edge, asked: str, start: int, end: int) -> None:
    edge.answers["open_content"] = Content()

    async with edge.client() as client:
        response = await client.get(URL, headers={"Range": asked})

    assert (response.status_code, response.content) == (206, BYTES[start:end])
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/100"
    assert response.headers["content-length"] == str(end - start)


@pytest.mark.parametrize(
    "asked", ["bytes=-", "bytes=5-4", "bytes=a-b", "bytes=1-2,5-6", "seconds=1-2", "bytes", "bytes=1", "", "bytes=²-3"]
)
async def test_a_range_that_asks_for_nothing_we_understand_is_answered_with_the_whole(edge: Edge, asked: str) -> None:
    edge.answers["open_content"] = Content()

    async with edge.client() as client:
        response = await client.get(URL, headers=[(b"Range", asked.encode())])

    assert (response.status_code, response.content) == (200, BYTES)


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={'9' * 19}-"])
async def test_a_range_beyond_the_end_is_not_satisfiable(edge: Edge, asked: str) -> None:
    edge.answers["open_content"] = Content()

    async with edge.client() as client:
        response = await client.get(URL, headers={"Range": asked})

    assert_problem(response, 416, "range_not_satisfiable")
    assert response.headers["content-range"] == "bytes */100"


@pytest.mark.parametrize(
    ("if_range", "status"), [(ETAG, 206), ('"other"', 200), ("Fri, 01 May 2026 08:00:00 GMT", 200)]
)
async def test_a_range_of_another_version_is_answered_with_the_whole(edge: Edge, if_range: str, status: int) -> None:
    edge.answers["open_content"] = Content()

    async with edge.client() as client:
        response = await client.get(URL, headers={"Range": "bytes=0-0", "If-Range": if_range})

    assert response.status_code == status


@pytest.mark.parametrize("has", [f'"other", {ETAG}', f"W/{ETAG}", "*"])
async def test_what_the_client_has_is_not_sent_again(edge: Edge, has: str) -> None:
    edge.answers["open_content"] = Content()

    async with edge.client() as client:
        response = await client.get(URL, headers={"If-None-Match": has})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == ETAG


@pytest.mark.parametrize("has", ['"other"', f'"other{SHA256}"', SHA256, "", f"*{ETAG}"])
async def test_who_has_something_else_is_sent_it(edge: Edge, has: str) -> None:
    edge.answers["open_content"] = Content()

    async with edge.client() as client:
        assert (await client.get(URL, headers={"If-None-Match": has})).status_code == 200


@pytest.mark.parametrize(
    ("container", "codec", "media_type"),
    [
        ("mov,mp4,m4a,3gp,3g2,mj2", "h264", "video/mp4"),
        ("matroska,webm", "vp9", "video/webm"),
        ("matroska,webm", "h264", "video/x-matroska"),
        ("avi", "mpeg4", "video/x-msvideo"),
        ("mpegts", "h264", "video/mp2t"),
        ("text/html", "h264", "application/octet-stream"),
    ],
)
async def test_the_type_is_that_of_the_container_that_was_probed(
    edge: Edge, container: str, codec: str, media_type: str
) -> None:
    edge.answers["open_content"] = Content(replace(MEDIA, container=container, codec=codec))

    async with edge.client() as client:
        assert (await client.get(URL)).headers["content-type"] == media_type


async def test_what_was_not_probed_is_just_bytes(edge: Edge) -> None:
    edge.answers["open_content"] = Content(None)

    async with edge.client() as client:
        assert (await client.get(URL)).headers["content-type"] == "application/octet-stream"


async def test_bytes_that_are_gone_are_a_problem_and_no_broken_answer(edge: Edge) -> None:
    edge.answers["open_content"] = Missing()

    async with edge.client() as client:
        assert_problem(await client.get(URL), 502, "storage_failed")
