"""The multipart form of an upload, parsed while it arrives."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.videos.registration import VideoDetails
from vidintel.domain.errors import DomainError, UnsupportedMedia, ValidationError
from vidintel.domain.video import CameraId
from vidintel.presentation.http.errors import MalformedForm, RequestInvalid, field_errors_of
from vidintel.presentation.http.multipart_upload import MAX_FIELD_BYTES, MultipartVideo

BOUNDARY = "----form-7MA4YWxk"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FILE = ("file", "gate.mp4", b"\x00\x00\x00\x18ftyp\r\n--" + BOUNDARY[:6].encode() + b"\r\n\r\nmoov\xff")

Part = tuple[str, str | None, bytes]


def field(name: str, text: str | bytes) -> Part:
    return name, None, text if isinstance(text, bytes) else text.encode()


def form(*parts: Part) -> bytes:
    body = b""
    for name, file_name, content in parts:
        disposition = f'form-data; name="{name}"' + ("" if file_name is None else f'; filename="{file_name}"')
        body += f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n".encode()
        body += (b"Content-Type: video/mp4\r\n" if file_name is not None else b"") + b"\r\n" + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


async def arriving(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def received(body: bytes, pieces: Sequence[bytes] | None = None) -> tuple[str, bytes, VideoDetails]:
    """File name, content and details of a form that was read to its end."""
    video = await MultipartVideo.open(CONTENT_TYPE, arriving(pieces or [body]))
    content = b"".join([chunk async for chunk in video.chunks()])
    return video.file_name, content, video.details()


SPEC = '{"model": "traffic", "sample_fps": "native", "labels": ["car"], "min_confidence": 0, "iou_threshold": 0.5}'
FIELDS = [
    field("title", "Gâte 3"),
    field("description", "at dawn"),
    field("captured_at", "2026-05-01T08:00:00+02:00"),
    field("camera_id", "gate-3"),
    field("spec", SPEC),
]
DETAILS = VideoDetails(
    "Gâte 3",
    "at dawn",
    datetime(2026, 5, 1, 8, tzinfo=timezone(timedelta(hours=2))),
    CameraId("gate-3"),
    SpecRequest("traffic", "native", ("car",), 0, 0.5),
)


@pytest.mark.parametrize("file_at", range(len(FIELDS) + 1))
async def test_fields_may_come_before_and_after_the_file(file_at: int) -> None:
    body = form(*FIELDS[:file_at], FILE, *FIELDS[file_at:])

    assert await received(body) == ("gate.mp4", FILE[2], DETAILS)


@given(data=st.data())
async def test_however_the_form_is_cut_on_its_way_the_same_arrives(data: st.DataObject) -> None:
    content = data.draw(st.binary(max_size=200) | st.just(FILE[2]))
    body = form(FIELDS[0], ("file", "a.mp4", content), *FIELDS[1:])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=30)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]

    assert await received(body, pieces) == ("a.mp4", content, DETAILS)


async def test_a_form_that_comes_byte_by_byte_is_read() -> None:
    body = form(*FIELDS, FILE)

    assert await received(body, [bytes([byte]) for byte in body]) == ("gate.mp4", FILE[2], DETAILS)


async def test_no_more_of_the_body_is_taken_than_is_asked_for() -> None:
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        body = form(("file", "a.mp4", b"x" * 10_000))
        for start in range(0, len(body), 1000):
            taken += 1
            yield body[start : start + 1000]

    video = await MultipartVideo.open(CONTENT_TYPE, counted())
    assert taken == 1
    chunks = video.chunks()
    for _ in range(3):
        await anext(chunks)
    assert taken == 3


async def test_details_are_known_as_far_as_they_have_come() -> None:
    video = await MultipartVideo.open(
        CONTENT_TYPE, arriving([form(FIELDS[0], FILE)[:-60], form(FIELDS[0], FILE)[-60:]])
    )

    assert video.details() == VideoDetails("Gâte 3")


async def test_fields_left_blank_count_as_left_out() -> None:
    blank = [field(name, "") for name in ("title", "description", "captured_at", "camera_id", "spec")]

    assert (await received(form(*blank, FILE)))[2] == VideoDetails()


async def test_an_empty_file_has_no_bytes() -> None:
    assert (await received(form(("file", "empty.mp4", b""))))[1] == b""


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("gate.mp4", "gate.mp4"),
        ("/etc/passwd", "passwd"),
        ("../../gate.mp4", "gate.mp4"),
        ("C:\\videos\\gate.mp4", "gate.mp4"),
        ("Straße 7.mp4", "Straße 7.mp4"),
        ("", "video"),
        ("videos/", "video"),
        (None, "video"),
    ],
)
async def test_of_a_file_name_only_the_last_component_counts(sent: str | None, name: str) -> None:
    assert (await received(form(("file", sent, b"x"))))[0] == name


FAULTS: dict[str, tuple[bytes, str]] = {
    "no file": (form(*FIELDS), "file"),
    "no part at all": (f"--{BOUNDARY}--\r\n".encode(), "file"),
    "two files": (form(FILE, FILE), "file"),
    "a field twice": (form(FIELDS[0], FIELDS[0], FILE), "title"),
    "an unknown field before the file": (form(field("color", "red"), FILE), "color"),
    "an unknown field after the file": (form(FILE, field("color", "red")), "color"),
    "a field that is too long": (form(field("title", "x" * (MAX_FIELD_BYTES + 1)), FILE), "title"),
    "a field that is no UTF-8": (form(FILE, field("title", b"\xff")), "title"),
    "a spec that is no JSON": (form(FILE, field("spec", "{")), "spec"),
    "a spec that is text": (form(FILE, field("spec", "native")), "spec"),
    "a spec that is a list": (form(FILE, field("spec", "[]")), "spec"),
    "a spec with an unknown field": (form(FILE, field("spec", '{"fps": 5}')), "spec.fps"),
    "a spec with a number as text": (form(FILE, field("spec", '{"min_confidence": "0.5"}')), "spec.min_confidence"),
    "a spec that is not finite": (form(FILE, field("spec", '{"iou_threshold": Infinity}')), "spec.iou_threshold"),
    "a track confidence in words": (form(FILE, field("spec", '{"track_confidence": "sure"}')), "spec.track_confidence"),
    "a spec with a label that is none": (form(FILE, field("spec", '{"labels": [null]}')), "spec.labels.0"),
    "captured_at that is no time": (form(field("captured_at", "yesterday"), FILE), "captured_at"),
    "captured_at after the file": (form(FILE, field("captured_at", "2026-13-01T00:00:00Z")), "captured_at"),
}


@pytest.mark.parametrize(("body", "at_fault"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_form_that_does_not_fit_names_the_field(body: bytes, at_fault: str) -> None:
    with pytest.raises(RequestInvalid) as raised:
        await received(body)

    assert [error.field for error in field_errors_of(raised.value)] == [at_fault]


WHOLE = form(FIELDS[0], FILE, FIELDS[1])
MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no form": b"this is no form",
    "another boundary": WHOLE.replace(BOUNDARY.encode(), b"other"),
    "a part without a name": WHOLE.replace(b'; name="title"', b""),
    "a part without a disposition": WHOLE.replace(b"Content-Disposition: form-data", b"X-Nothing: form-data"),
    "a part of another kind": WHOLE.replace(b"form-data", b"attachment"),
    "a broken header": WHOLE.replace(b"Content-Disposition:", b"Content Disposition\x00"),
    "a header without end": f"--{BOUNDARY}\r\nX-Long: ".encode() + b"x" * 100_000,
    "headers without end": f"--{BOUNDARY}\r\n".encode() + b"X: y\r\n" * 10_000,
    **{f"cut off after {length} bytes": WHOLE[:length] for length in range(10, len(WHOLE) - 4, 23)},
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_no_whole_form_is_refused(body: bytes) -> None:
    with pytest.raises((MalformedForm, RequestInvalid)):
        await received(body)


@given(st.binary(max_size=500))
async def test_no_bytes_raise_anything_but_a_domain_error(noise: bytes) -> None:
    for body in (noise, WHOLE[:60] + noise, form(FILE)[:-4] + noise):
        try:
            await received(body)
        except DomainError as error:
            assert isinstance(error, ValidationError)  # noqa: PT017 - bytes that happen to be a form are fine


@pytest.mark.parametrize(
    "content_type", [None, "", "video/mp4", "application/json", "application/x-www-form-urlencoded", "multipart/mixed"]
)
async def test_another_content_type_is_not_supported(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMedia):
        await MultipartVideo.open(content_type, arriving([]))


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 999}"],
)
async def test_a_boundary_must_be_given_and_short(content_type: str) -> None:
    with pytest.raises(MalformedForm):
        await MultipartVideo.open(content_type, arriving([]))


async def test_a_naive_time_is_left_to_the_domain() -> None:
    details = (await received(form(field("captured_at", "2026-05-01T08:00:00"), FILE)))[2]

    assert details.captured_at == datetime(2026, 5, 1, 8, tzinfo=UTC).replace(tzinfo=None)
