"""Files that are no videos, or bad ones: each gets its typed error, and leaves nothing behind."""

import io
import shutil
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import httpx
import jwt
import numpy as np
import pytest

from tests.e2e.serving import SAMPLE, ServedSystem, upload, wait_for_job
from tests.support.media_files import (
    PLAIN,
    Recipe,
    even_times,
    sound_only,
    video,
    with_claimed_duration,
    without_frames,
    without_index,
)


def send(client: httpx.Client, content: bytes, **fields: str) -> httpx.Response:
    return client.post("/videos", files={"file": ("clip.mp4", io.BytesIO(content), "video/mp4")}, data=fields)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 415, "empty_file"),
        (b"I was a text file all along.\n" * 40, 415, "not_a_video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2000), 415, "not_a_video"),
        (bytes(5_000_001), 413, "payload_too_large"),
    ],
    ids=["empty", "text", "picture", "too large"],
)
def test_what_can_be_known_at_upload_is_refused_there(
    system: ServedSystem, client: httpx.Client, content: bytes, status: int, code: str
) -> None:
    objects = set((system.data_dir / "objects").rglob("*"))
    videos = client.get("/videos").json()["items"]

    answer = send(client, content)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["correlation_id"] == answer.headers["x-request-id"]
    assert set((system.data_dir / "objects").rglob("*")) == objects
    assert client.get("/videos").json()["items"] == videos


def picture_of(width: int, height: int) -> bytes:
    """One frame of that size, in a codec that takes any."""
    recipe = Recipe(container="matroska", codec="ffv1", pixel_format="bgr0")
    return video([0.0], recipe, lambda _: np.zeros((height, width, 3), dtype=np.uint8))


CLIP = video(even_times(50), PLAIN)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: bytes(range(256)) * 40, "not_a_video"),
        (lambda: without_index(CLIP), "not_a_video"),
        (lambda: CLIP[:300], "not_a_video"),
        (sound_only, "no_video_stream"),
        (lambda: sound_only(cover=True), "no_video_stream"),
        (without_frames, "no_frames"),
        (lambda: picture_of(1, 1), "resolution_unsupported"),
        (lambda: picture_of(16_384, 16), "resolution_unsupported"),
        (lambda: video(even_times(130, rate=1.0), PLAIN, rate=Fraction(1)), "duration_exceeded"),
        (lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n\x00", "not_a_video"),
    ],
    ids=[
        "noise",
        "no index",
        "cut in the header",
        "audio",
        "audio with cover",
        "no frames",
        "one pixel",
        "too wide",
        "too long",
        "playlist",
    ],
)
def test_what_only_a_decoder_can_know_is_the_jobs_error(
    client: httpx.Client, make: Callable[[], bytes], code: str
) -> None:
    answer = send(client, make())
    assert answer.status_code == 202, answer.text

    job = wait_for_job(client, answer.json()["job"]["id"])

    video_now = client.get(f"/videos/{job['video_id']}").json()
    assert (job["status"], job["error"]["code"]) == ("failed", code)
    assert (video_now["status"], video_now["error"]["code"]) == ("failed", code)
    assert client.delete(f"/videos/{job['video_id']}").status_code == 204


def test_a_full_disk_is_told_and_leaves_nothing_behind(server_dir: Path) -> None:
    everything = str(shutil.disk_usage(server_dir).total * 2)
    full = {"VIDINTEL_STORAGE__MIN_FREE_BYTES": everything}
    with ServedSystem(server_dir / "data", full, ready=False) as system, system.client() as client:
        answer = send(client, CLIP)

        assert (answer.status_code, answer.json()["code"]) == (503, "storage_full")
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/videos").json()["items"] == []
        assert [path for path in (system.data_dir / "objects").rglob("*") if path.is_file()] == []
        assert httpx.get(f"{system.url}/health/ready").json()["components"]["storage"]["ok"] is False


@pytest.mark.parametrize("hours", [10, 100])
def test_a_header_that_lies_about_the_duration_is_not_believed(client: httpx.Client, hours: float) -> None:
    answer = send(client, with_claimed_duration(CLIP, hours))

    job = wait_for_job(client, answer.json()["job"]["id"])

    assert (job["status"], job["error"]) == ("succeeded", None)
    media = client.get(f"/videos/{job['video_id']}").json()["media"]
    assert media["duration_s"] == pytest.approx(2.0, abs=0.05)


def test_a_truncated_video_gives_the_frames_that_can_be_had(client: httpx.Client) -> None:
    whole = SAMPLE.read_bytes()
    answer = send(client, whole[: len(whole) // 2])

    job = wait_for_job(client, answer.json()["job"]["id"])

    assert (job["status"], job["error"]) == ("succeeded", None)
    assert 0 < job["progress"]["frames_done"] < 100


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"captured_at": "yesterday"}, 422, "request_invalid"),
        ({"captured_at": "2999-01-01T00:00:00Z"}, 400, "validation_failed"),
        ({"spec": "{not json"}, 422, "request_invalid"),
        ({"spec": '{"sample_fps": -1}'}, 400, "validation_failed"),
        ({"spec": '{"model": "yolo-from-mars"}'}, 422, "unknown_model"),
        ({"spec": '{"labels": ["dragon"]}'}, 422, "unknown_label"),
        ({"title": " "}, 400, "validation_failed"),
        ({"colour": "red"}, 422, "request_invalid"),
    ],
)
def test_details_that_do_not_fit_are_refused(
    system: ServedSystem, client: httpx.Client, fields: dict[str, str], status: int, code: str
) -> None:
    objects = set((system.data_dir / "objects").rglob("*"))

    answer = send(client, CLIP, **fields)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert set((system.data_dir / "objects").rglob("*")) == objects


def test_bad_tokens_are_no_entrance(system: ServedSystem) -> None:
    now = datetime.now(UTC)
    good = jwt.decode(system.token(), options={"verify_signature": False})
    key = (system.data_dir / "development-signing-key.pem").read_text()
    expired = jwt.encode({**good, "exp": now - timedelta(minutes=1)}, key, algorithm="RS256")
    forged = jwt.encode(good, "x" * 64, algorithm="HS256")
    unsigned = jwt.encode(good, "", algorithm="none")
    for token in (expired, forged, unsigned, "garbage", "mt_machine"):
        answer = httpx.get(f"{system.url}/api/v1/videos", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")
    assert httpx.get(f"{system.url}/api/v1/videos").status_code == 401


def test_a_file_whose_index_asks_for_all_memory_fails_alone(server_dir: Path) -> None:
    limited = {"VIDINTEL_WORK__MEMORY_BYTES": str(1024**3), "VIDINTEL_WORK__CONCURRENCY": "1"}
    with ServedSystem(server_dir / "data", limited) as system, system.client() as client:
        pid = system.worker_pid()
        job_id = send(client, with_giant_index(tracks=12, samples=20_000_000)).json()["job"]["id"]

        assert wait_for_job(client, job_id)["status"] == "failed"
        assert peak_memory_bytes(pid) < 3 * 1024**3
        assert wait_for_job(client, upload(client)["job"]["id"])["status"] == "succeeded"
        assert system.worker_pid() == pid


def peak_memory_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def with_giant_index(*, tracks: int, samples: int) -> bytes:
    """An MP4 of a few kilobytes whose tables claim ``samples`` equal samples in each of ``tracks``."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        return struct.pack(">I", 8 + sum(map(len, parts))) + kind + b"".join(parts)

    def full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
        return box(kind, struct.pack(">I", flags), *parts)

    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    picture = bytes(6) + struct.pack(">H16xHHIIIH32xHh", 1, 64, 64, 0x480000, 0x480000, 0, 1, 24, -1)
    table = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), box(b"jpeg", picture)),
        full(b"stts", struct.pack(">3I", 1, samples, 1)),
        full(b"stsc", struct.pack(">4I", 1, 1, samples, 1)),
        full(b"stsz", struct.pack(">2I", 1, samples)),
        full(b"stco", struct.pack(">2I", 1, 40)),
    )
    here = box(b"dinf", full(b"dref", struct.pack(">I", 1), full(b"url ", flags=1)))
    media = box(
        b"mdia",
        full(b"mdhd", struct.pack(">4IHH", 0, 0, 1_000_000, samples, 0x55C4, 0)),
        full(b"hdlr", b"\0\0\0\0vide" + bytes(12) + b"v\0"),
        box(b"minf", full(b"vmhd", bytes(8), flags=1), here, table),
    )
    trak = [
        box(
            b"trak",
            full(b"tkhd", struct.pack(">5I16x", 0, 0, each + 1, 0, 1000), matrix, bytes(8), flags=7),
            media,
        )
        for each in range(tracks)
    ]
    head = struct.pack(">4IIH10x", 0, 0, 1000, 1000, 0x10000, 0x100) + matrix + bytes(24) + struct.pack(">I", 2)
    return (
        box(b"ftyp", b"isom\0\0\2\0isommp41")
        + box(b"mdat", bytes(range(256)) * 16)
        + box(b"moov", full(b"mvhd", head), *trak)
    )
