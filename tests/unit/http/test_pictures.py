"""Poster, preview and shots over HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.http.edge import EDITOR, Edge, Raising, assert_problem
from tests.unit.http.samples import JOB_ID, SHA256, VIDEO_ID
from vidintel.domain.errors import ResultNotFound, StorageError

VIDEO = f"/api/v1/videos/{VIDEO_ID}"
ETAG = f'"{SHA256}"'
PATHS = [("poster.jpg", "poster"), ("preview.jpg", "preview"), ("tracks/7/shot.jpg", "shot-7")]


class Picture:
    size_bytes = 6
    sha256 = SHA256

    async def read(self) -> AsyncIterator[bytes]:
        yield b"JPE"
        yield b"G.."


class Missing(Picture):
    def read(self) -> AsyncIterator[bytes]:
        return Raising(StorageError("The object is gone."))


@pytest.mark.parametrize(("path", "name"), PATHS)
async def test_a_picture_is_sent_with_its_tag(edge: Edge, path: str, name: str) -> None:
    edge.answers["open_picture"] = Picture()

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/{path}")

    assert edge.called("open_picture") == (EDITOR, VIDEO_ID, None, name)
    assert (response.content, response.headers["content-type"]) == (b"JPEG..", "image/jpeg")
    assert (response.headers["etag"], response.headers["content-length"]) == (ETAG, "6")
    assert response.headers["cache-control"] == "private, no-cache"


async def test_the_picture_of_a_named_job_may_be_kept_for_good(edge: Edge) -> None:
    edge.answers["open_picture"] = Picture()

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/poster.jpg?job_id={JOB_ID}")

    assert edge.called("open_picture") == (EDITOR, VIDEO_ID, JOB_ID, "poster")
    assert response.headers["cache-control"] == "private, max-age=31536000, immutable"


@pytest.mark.parametrize("has", [f'"other", {ETAG}', f"W/{ETAG}", "*"])
async def test_what_the_client_has_is_not_sent_again(edge: Edge, has: str) -> None:
    edge.answers["open_picture"] = Picture()

    async with edge.client() as client:
        response = await client.get(f"{VIDEO}/poster.jpg", headers={"If-None-Match": has})

    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", ETAG)


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [(ResultNotFound("None."), 404, "result_not_found"), (Missing(), 502, "storage_failed")],
)
async def test_a_picture_that_is_not_there_is_a_problem(edge: Edge, answer: object, status: int, code: str) -> None:
    edge.answers["open_picture"] = answer

    async with edge.client() as client:
        assert_problem(await client.get(f"{VIDEO}/poster.jpg"), status, code)


@pytest.mark.parametrize("track_id", ["0", "-1", "x", "2147483648"])
async def test_a_track_has_a_number(edge: Edge, track_id: str) -> None:
    async with edge.client() as client:
        assert_problem(await client.get(f"{VIDEO}/tracks/{track_id}/shot.jpg"), 422, "request_invalid", "track_id")
