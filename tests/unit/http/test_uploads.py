"""``POST /api/v1/videos``: what the use case receives, and what the client hears."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from starlette.requests import ClientDisconnect

from tests.unit.http.edge import EDITOR, Edge, Raising, assert_problem, authorised
from tests.unit.http.samples import NO_PROGRESS, VIDEO_ID, job, video
from vidintel.application.ports import JobReport
from vidintel.application.result import Err, Ok, Result
from vidintel.application.videos.registration import IncomingVideo, RegisteredVideo, VideoDetails
from vidintel.domain.errors import DomainError, NotAVideo, PayloadTooLarge, StorageFull, UnknownModel, ValidationError
from vidintel.domain.identity import Principal
from vidintel.presentation.http.app import create_app
from vidintel.settings.model import LimitSettings

URL = "/api/v1/videos"
FILE = ("gate.mp4", b"\x00\x00\x00\x18ftypmp42", "video/mp4")


class Taking:
    """A use case that takes everything in, up to ``max_bytes``, and refuses with ``refusal`` at the end, if any."""

    def __init__(self, refusal: DomainError | None = None, max_bytes: int = 10**9) -> None:
        self.refusal = refusal
        self.max_bytes = max_bytes
        self.content = b""
        self.details: VideoDetails | None = None
        self.file_name = ""
        self.broke_off_with: BaseException | None = None

    async def __call__(self, principal: Principal, incoming: IncomingVideo) -> Result[RegisteredVideo]:
        assert principal == EDITOR
        self.file_name = incoming.file_name
        try:
            async for chunk in incoming.chunks():
                self.content += chunk
                if len(self.content) > self.max_bytes:
                    return Err(PayloadTooLarge(self.max_bytes))
        except DomainError as error:
            self.broke_off_with = error
            return Err(error)
        except BaseException as error:
            self.broke_off_with = error
            raise
        self.details = incoming.details()
        if self.refusal is not None:
            return Err(self.refusal)
        return Ok(RegisteredVideo(video(), JobReport(job(), NO_PROGRESS)))


async def test_an_accepted_video_is_answered_with_itself_and_its_job(edge: Edge) -> None:
    taking = Taking()

    async with edge.client(register_video=taking) as client:
        response = await client.post(URL, files={"file": FILE}, data={"title": "Gate", "spec": '{"sample_fps": 2}'})

    assert response.status_code == 202
    assert response.headers["location"] == f"{URL}/{VIDEO_ID}"
    assert response.json()["video"]["status"] == "uploaded"
    assert response.json()["job"]["status"] == "queued"
    assert taking.content == FILE[1]
    assert taking.file_name == "gate.mp4"
    assert taking.details is not None
    assert (taking.details.title, taking.details.spec.sample_fps) == ("Gate", 2)


@pytest.mark.parametrize(
    ("request_", "status", "code", "at_fault"),
    [
        ({"data": {"title": "x"}, "files": {"other": FILE}}, 422, "request_invalid", ("other",)),
        ({"files": {"title": (None, "x")}}, 422, "request_invalid", ("file",)),
        ({"files": {"file": FILE, "spec": (None, "{")}}, 422, "request_invalid", ("spec",)),
        ({"files": {"file": FILE, "captured_at": (None, "noon")}}, 422, "request_invalid", ("captured_at",)),
        ({"files": {"file": FILE, "title": (None, "x" * 70_000)}}, 422, "request_invalid", ("title",)),
        ({"json": {"video": "x"}}, 415, "unsupported_media", ()),
        ({"content": b"bytes", "headers": {"Content-Type": "video/mp4"}}, 415, "unsupported_media", ()),
        ({"data": {"title": "x"}}, 415, "unsupported_media", ()),
        ({}, 415, "unsupported_media", ()),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "malformed_form", ()),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400, "malformed_form", ()),
        (
            {
                "content": b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf',
                "headers": {"Content-Type": "multipart/form-data; boundary=b"},
            },
            400,
            "malformed_form",
            (),
        ),
    ],
)
async def test_a_bad_upload_gets_its_own_problem(
    edge: Edge, request_: dict[str, Any], status: int, code: str, at_fault: tuple[str, ...]
) -> None:
    taking = Taking()

    async with edge.client(register_video=taking) as client:
        response = await client.post(URL, **request_)

    assert_problem(response, status, code, *at_fault)
    assert taking.details is None


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (NotAVideo(), 415),
        (UnknownModel("x", ()), 422),
        (StorageFull(), 503),
        (ValidationError("captured_at lies in the future.", field="captured_at"), 400),
    ],
)
async def test_what_the_use_case_refuses_is_refused(edge: Edge, refusal: DomainError, status: int) -> None:
    async with edge.client(register_video=Taking(refusal)) as client:
        response = await client.post(URL, files={"file": FILE})

    fields = [refusal.field] if isinstance(refusal, ValidationError) and refusal.field else []
    assert_problem(response, status, refusal.code, *fields)


async def test_an_announced_length_beyond_the_limit_is_refused_before_a_byte_is_read(edge: Edge) -> None:
    edge.limits = LimitSettings(max_upload_bytes=100)

    async with edge.client() as client:
        headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(100 + 1024**2 + 1)}
        response = await client.post(URL, headers=headers, content=Raising(AssertionError("the body was read")))

    assert_problem(response, 413, "payload_too_large")
    assert edge.calls == []


async def test_a_file_that_grows_beyond_the_limit_is_refused(edge: Edge) -> None:
    taking = Taking(max_bytes=10)

    async with edge.client(register_video=taking) as client:
        response = await client.post(URL, files={"file": ("a.mp4", b"x" * 1000)})

    assert_problem(response, 413, "payload_too_large")


async def test_an_upload_may_be_larger_than_other_bodies(edge: Edge) -> None:
    edge.limits = LimitSettings(max_body_bytes=100)
    taking = Taking()

    async with edge.client(register_video=taking) as client:
        response = await client.post(URL, files={"file": ("a.mp4", b"x" * 100_000)})

    assert response.status_code == 202
    assert len(taking.content) == 100_000


async def test_without_a_token_nothing_is_read(edge: Edge) -> None:
    async with edge.client(headers={}) as client:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        response = await client.post(URL, headers=headers, content=Raising(AssertionError("the body was read")))

    assert_problem(response, 401, "authentication_required")


@pytest.mark.parametrize("whole_parts", [b"", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf a vid'])
async def test_a_client_that_goes_away_ends_the_upload_quietly(edge: Edge, whole_parts: bytes) -> None:
    taking = Taking()
    app = create_app(edge.services(register_video=taking))
    messages: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": whole_parts, "more_body": True}, {"type": "http.disconnect"}]
    )
    headers = authorised() | {"content-type": "multipart/form-data; boundary=b"}

    with structlog.testing.capture_logs() as lines:
        await app(
            {
                "type": "http",
                "method": "POST",
                "path": URL,
                "raw_path": URL.encode(),
                "query_string": b"",
                "root_path": "",
                "scheme": "http",
                "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
                "server": ("vidintel.test", 80),
                "client": ("127.0.0.1", 1),
                "http_version": "1.1",
            },
            receiving(lambda: next(messages)),
            ignoring,
        )

    assert [line["event"] for line in lines] == ["upload.aborted", "request.completed"]
    assert lines[-1]["status"] == 499
    assert taking.details is None
    if whole_parts:
        assert taking.content == b"half a vid"
        assert isinstance(taking.broke_off_with, ClientDisconnect)


def receiving(take: Callable[[], dict[str, Any]]) -> Callable[[], Any]:
    async def receive() -> dict[str, Any]:
        return take()

    return receive


async def ignoring(_message: Any) -> None: ...
