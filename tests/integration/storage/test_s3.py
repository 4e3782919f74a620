"""The S3 adapter on a real server."""

import hashlib
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest
from pydantic import SecretStr

from tests.contracts.content import KEY, NO_LIMIT, content_of, stream
from tests.contracts.object_storage_contract import ObjectStorageContract
from tests.integration.storage.conftest import NewStorage
from vidintel.application.ports import MediaLimits, MediaPlan, ObjectStorage
from vidintel.domain.errors import StorageError, StorageUnavailable
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.s3 import S3ObjectStorage
from vidintel.infrastructure.storage.s3_calls import connect
from vidintel.settings.model import S3Settings

MIB = 1024**2
SAMPLE = Path(__file__).parents[3] / "samples" / "traffic.mp4"


@pytest.fixture
def client(s3_settings: S3Settings) -> Iterator[Any]:
    """boto3's, for looking behind the storage's back."""
    client = connect(s3_settings)
    yield client
    client.close()


class TestS3ObjectStorage(ObjectStorageContract):
    @pytest.fixture
    def storage(self, s3_storage: S3ObjectStorage) -> ObjectStorage:
        return s3_storage

    @pytest.fixture
    def other(self, new_storage: NewStorage, s3_settings: S3Settings) -> ObjectStorage:
        return new_storage(s3_settings)


def unfinished(client: Any, settings: S3Settings) -> list[str]:
    found = client.list_multipart_uploads(Bucket=settings.bucket).get("Uploads", [])
    return [upload["Key"] for upload in found]


async def test_what_is_larger_than_a_part_goes_in_parts_and_appears_at_the_end(
    s3_storage: S3ObjectStorage, client: Any, s3_settings: S3Settings
) -> None:
    content = random.Random(1).randbytes(20 * MIB + 7)
    parts_seen: list[list[str]] = []

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), MIB):
            yield content[start : start + MIB]
        parts_seen.append(unfinished(client, s3_settings))

    stored = await s3_storage.put(KEY, chunks(), max_bytes=NO_LIMIT)

    assert parts_seen == [[KEY]]
    assert (stored.size_bytes, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert hashlib.sha256(await content_of(s3_storage)).hexdigest() == stored.sha256
    assert unfinished(client, s3_settings) == []


async def test_an_upload_is_never_in_memory_as_a_whole(s3_storage: S3ObjectStorage) -> None:
    block = bytes(MIB)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield block

    tracemalloc.start()
    try:
        await s3_storage.put(KEY, chunks(), max_bytes=NO_LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 32 * MIB


async def test_parts_of_an_upload_that_breaks_off_are_thrown_away(
    s3_storage: S3ObjectStorage, client: Any, s3_settings: S3Settings
) -> None:
    chunks = stream(bytes(9 * MIB), bytes(9 * MIB), then=ConnectionResetError("gone"))

    with pytest.raises(ConnectionResetError):
        await s3_storage.put(KEY, chunks, max_bytes=NO_LIMIT)

    assert unfinished(client, s3_settings) == []


async def test_stale_parts_of_a_writer_that_died_are_thrown_away(
    s3_storage: S3ObjectStorage, client: Any, s3_settings: S3Settings
) -> None:
    client.create_multipart_upload(Bucket=s3_settings.bucket, Key=KEY)

    assert await s3_storage.purge_unfinished(older_than_s=3600) == 0
    assert unfinished(client, s3_settings) == [KEY]
    assert await s3_storage.purge_unfinished(older_than_s=-60) == 1
    assert unfinished(client, s3_settings) == []


async def test_a_link_is_good_for_the_named_bytes_and_for_nothing_else(
    new_storage: NewStorage, s3_settings: S3Settings
) -> None:
    storage = new_storage(s3_settings.model_copy(update={"content": "redirect"}))
    await storage.put(KEY, stream(b"moving pictures"), max_bytes=NO_LIMIT)

    link = await storage.link(KEY, media_type="video/mp4", file_name="clip.mp4")

    assert link is not None
    async with httpx.AsyncClient() as anyone:
        whole, part = await anyone.get(link), await anyone.get(link, headers={"Range": "bytes=7-"})
        other = await anyone.get(link.replace(KEY, f"{KEY}-2"))
    assert (whole.status_code, whole.content) == (200, b"moving pictures")
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["content-disposition"] == 'inline; filename="clip.mp4"'
    assert (part.status_code, part.content) == (206, b"pictures")
    assert other.status_code == 403


async def test_there_are_no_links_unless_they_are_asked_for(s3_storage: S3ObjectStorage) -> None:
    assert await s3_storage.link(KEY, media_type="video/mp4", file_name="clip.mp4") is None


@pytest.mark.parametrize(
    ("size", "encryption", "key_id"), [(0, "AES256", None), (9 * MIB, "aws:kms", "alias/videos"), (0, None, None)]
)
async def test_objects_are_encrypted_as_the_settings_say(
    new_storage: NewStorage, s3_settings: S3Settings, size: int, encryption: str | None, key_id: str | None
) -> None:
    storage = new_storage(s3_settings.model_copy(update={"encryption": encryption, "kms_key_id": key_id}))
    asked: list[tuple[str | None, str | None]] = []

    def record(request: Any, **_: Any) -> None:
        name = "x-amz-server-side-encryption"
        asked.append((request.headers.get(name), request.headers.get(f"{name}-aws-kms-key-id")))

    for call in ("PutObject", "CreateMultipartUpload"):
        storage._client.meta.events.register(f"request-created.s3.{call}", record)
    with suppress(StorageError):  # not every server can encrypt
        await storage.put(KEY, stream(bytes(size)), max_bytes=NO_LIMIT)

    def text(value: str | bytes | None) -> str | None:
        return value.decode() if isinstance(value, bytes) else value

    assert [(text(kind), text(key)) for kind, key in asked] == [(encryption, key_id)]


async def test_wrong_credentials_are_told_and_are_no_outage(
    new_storage: NewStorage, s3_settings: S3Settings, circuits: CircuitBreakers
) -> None:
    storage = new_storage(s3_settings.model_copy(update={"secret_access_key": SecretStr("wrong")}))

    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="VIDINTEL_S3__SECRET_ACCESS_KEY"):
            await storage.check()
        with pytest.raises(StorageUnavailable, match="credentials"):
            await storage.put(KEY, stream(b"x"), max_bytes=NO_LIMIT)
        with pytest.raises(StorageUnavailable, match="credentials"):
            storage.open(KEY)

    assert circuits.states() == {"s3": "closed"}


async def test_a_missing_bucket_is_told(new_storage: NewStorage, s3_settings: S3Settings) -> None:
    storage = new_storage(s3_settings.model_copy(update={"bucket": "nobody-made-this-one"}))

    with pytest.raises(StorageUnavailable, match="VIDINTEL_S3__BUCKET"):
        await storage.check()
    with pytest.raises(StorageUnavailable, match="VIDINTEL_S3__BUCKET"):
        await storage.put(KEY, stream(b"x"), max_bytes=NO_LIMIT)


async def test_a_video_is_decoded_from_s3_as_from_the_disk(s3_storage: S3ObjectStorage) -> None:
    await s3_storage.put(KEY, stream(SAMPLE.read_bytes()), max_bytes=NO_LIMIT)

    with s3_storage.open(KEY) as stored:
        from_s3 = decoded(stored)
    with SAMPLE.open("rb") as file:
        from_disk = decoded(file)

    assert from_s3 == from_disk
    assert len(from_s3[1]) > 20


def decoded(content: BinaryIO) -> tuple[MediaPlan, list[tuple[int, float, str]]]:
    """The plan, and each sampled frame's index, time and picture."""
    decoder = PyAvVideoDecoder()
    limits = MediaLimits(max_duration_s=60, max_side_px=4096)
    plan = decoder.plan(content, segment_s=4, sample_fps=2, limits=limits)
    frames = [
        (frame.index, frame.time_s, hashlib.sha256(frame.image.tobytes()).hexdigest())
        for span in plan.segments
        for frame in decoder.frames(content, span, sample_fps=2)
    ]
    return plan, frames
