"""What S3 adds to the contract of uploads: parts, the state object, purging, outages."""

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contracts.content import KEY, NO_LIMIT, content_of, stream
from tests.integration.storage.conftest import CoolDown, NewStorage, until_it_works
from tests.support.s3_server import S3Server
from vidintel.application.ports import UploadId
from vidintel.domain.errors import StorageError, StorageUnavailable, UploadInUse, UploadNotFound
from vidintel.infrastructure.storage.s3 import S3ObjectStorage
from vidintel.infrastructure.storage.s3_calls import connect
from vidintel.settings.model import S3Settings

MIB = 1024**2


class Behind:
    """The bucket behind the storage's back."""

    def __init__(self, settings: S3Settings) -> None:
        self.client: Any = connect(settings)
        self._bucket = settings.bucket

    def objects(self) -> list[str]:
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=self._bucket).get("Contents", [])]

    def multiparts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", [])
        return found


@pytest.fixture
def behind(s3_settings: S3Settings) -> Iterator[Behind]:
    behind = Behind(s3_settings)
    yield behind
    behind.client.close()


@pytest.mark.parametrize("size", [5, 6 * MIB])
async def test_nothing_but_the_object_stays(s3_storage: S3ObjectStorage, behind: Behind, size: int) -> None:
    finished, aborted = [await s3_storage.begin_upload(f"videos/{name}") for name in ("finished", "aborted")]
    for upload in (finished, aborted):
        await s3_storage.append(upload, 0, stream(bytes(size)), max_bytes=NO_LIMIT)
    await s3_storage.finish_upload(finished)
    await s3_storage.abort_upload(aborted)

    assert behind.objects() == ["videos/finished"]
    assert behind.multiparts() == []


async def test_an_atomic_append_that_fails_leaves_no_multipart_upload(
    s3_storage: S3ObjectStorage, behind: Behind
) -> None:
    upload = await s3_storage.begin_upload(KEY)

    wrong = stream(bytes(9 * MIB), bytes(9 * MIB), then=ValueError("checksum"))
    with pytest.raises(ValueError, match="checksum"):
        await s3_storage.append(upload, 0, wrong, max_bytes=NO_LIMIT, atomic=True)

    assert behind.multiparts() == []
    assert await s3_storage.upload_offset(upload) == 0


async def test_a_writer_that_was_overtaken_is_refused_before_its_next_part(
    s3_storage: S3ObjectStorage, new_storage: NewStorage, s3_settings: S3Settings
) -> None:
    upload, other = await s3_storage.begin_upload(KEY), new_storage(s3_settings)

    async def overtaken() -> AsyncIterator[bytes]:
        yield b"x" * 9 * MIB
        await other.append(upload, 0, stream(b"y" * 6 * MIB), max_bytes=NO_LIMIT)
        yield b"x" * 9 * MIB
        yield b"x"

    with pytest.raises(UploadInUse):
        await s3_storage.append(upload, 0, overtaken(), max_bytes=NO_LIMIT)

    stored = await other.finish_upload(upload)
    assert stored.size_bytes == 6 * MIB
    assert await content_of(s3_storage) == b"y" * 6 * MIB


async def test_finishing_is_repeated_when_the_object_appeared_and_the_state_stayed(
    s3_storage: S3ObjectStorage, behind: Behind, s3_settings: S3Settings
) -> None:
    upload = await s3_storage.begin_upload(KEY)
    await s3_storage.append(upload, 0, stream(b"x" * 6 * MIB, b"y"), max_bytes=NO_LIMIT)
    await s3_storage.append(upload, 6 * MIB + 1, stream(b"z"), max_bytes=NO_LIMIT)
    where = {"Bucket": s3_settings.bucket, "Key": f".uploads/{upload}"}
    state = behind.client.get_object(**where)
    body = state["Body"].read()
    stored = await s3_storage.finish_upload(upload)
    behind.client.put_object(**where, Body=body, Metadata=state["Metadata"])

    assert await s3_storage.upload_offset(upload) == stored.size_bytes
    assert await s3_storage.finish_upload(upload) == stored
    assert behind.objects() == [KEY]


async def test_an_upload_whose_multipart_upload_was_removed_is_not_found(
    s3_storage: S3ObjectStorage, behind: Behind, s3_settings: S3Settings
) -> None:
    upload = await s3_storage.begin_upload(KEY)
    await s3_storage.append(upload, 0, stream(b"x" * 6 * MIB), max_bytes=NO_LIMIT)
    (multipart,) = behind.multiparts()
    behind.client.abort_multipart_upload(Bucket=s3_settings.bucket, Key=KEY, UploadId=multipart["UploadId"])

    with pytest.raises(UploadNotFound):
        await s3_storage.append(upload, 6 * MIB, stream(b"x" * 6 * MIB), max_bytes=NO_LIMIT)
    with pytest.raises(UploadNotFound):
        await s3_storage.finish_upload(upload)


async def test_a_state_of_another_version_is_told(
    s3_storage: S3ObjectStorage, behind: Behind, s3_settings: S3Settings
) -> None:
    upload = await s3_storage.begin_upload(KEY)
    where = {"Bucket": s3_settings.bucket, "Key": f".uploads/{upload}"}
    behind.client.put_object(**where, Body=b'{"version": 2}\n', Metadata={"offset": "0"})

    with pytest.raises(StorageError, match="version"):
        await s3_storage.finish_upload(upload)


async def test_an_old_upload_that_was_appended_to_lately_is_not_purged(
    s3_storage: S3ObjectStorage, behind: Behind, s3_settings: S3Settings
) -> None:
    upload = await s3_storage.begin_upload(KEY)
    await s3_storage.append(upload, 0, stream(b"x" * 6 * MIB), max_bytes=NO_LIMIT)
    behind.client.create_multipart_upload(Bucket=s3_settings.bucket, Key="videos/of-a-dead-writer")
    started = max(multipart["Initiated"] for multipart in behind.multiparts())
    newest = started + timedelta(seconds=1)
    # The server counts whole seconds.
    await asyncio.sleep((newest + timedelta(seconds=1) - datetime.now(UTC)).total_seconds())
    await s3_storage.append(upload, 6 * MIB, stream(b"y"), max_bytes=NO_LIMIT)

    assert await s3_storage.purge_unfinished((datetime.now(UTC) - newest).total_seconds()) == 1

    assert [multipart["Key"] for multipart in behind.multiparts()] == [KEY]
    assert (await s3_storage.finish_upload(upload)).size_bytes == 6 * MIB + 1


@pytest.mark.parametrize(("encryption", "key_id"), [("AES256", None), ("aws:kms", "alias/videos"), (None, None)])
async def test_the_state_is_encrypted_as_the_object_is(
    new_storage: NewStorage, s3_settings: S3Settings, encryption: str | None, key_id: str | None
) -> None:
    storage = new_storage(s3_settings.model_copy(update={"encryption": encryption, "kms_key_id": key_id}))
    asked: list[tuple[str | None, str | None]] = []

    def record(request: Any, **_: Any) -> None:
        name = "x-amz-server-side-encryption"
        values = [request.headers.get(each) for each in (name, f"{name}-aws-kms-key-id")]
        kind, key = (value.decode() if isinstance(value, bytes) else value for value in values)
        asked.append((kind, key))

    storage._client.meta.events.register("request-created.s3.PutObject", record)
    with suppress(StorageError):  # not every server can encrypt
        await storage.begin_upload(KEY)

    assert asked == [(encryption, key_id)]


async def test_an_append_is_never_in_memory_as_a_whole(s3_storage: S3ObjectStorage) -> None:
    upload, block = await s3_storage.begin_upload(KEY), bytes(MIB)
    await s3_storage.append(upload, 0, stream(bytes(4 * MIB)), max_bytes=NO_LIMIT)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield block

    tracemalloc.start()
    try:
        await s3_storage.append(upload, 4 * MIB, chunks(), max_bytes=NO_LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 40 * MIB


async def test_an_append_during_an_outage_keeps_its_checkpoints_and_is_resumed(
    mortal: S3ObjectStorage, s3_server: S3Server, cool_down: CoolDown
) -> None:
    upload, content = await mortal.begin_upload(KEY), random.Random(3).randbytes(60 * MIB)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), MIB):
            if start == 50 * MIB:
                s3_server.kill()
            yield content[start : start + MIB]

    with pytest.raises(StorageUnavailable):
        await mortal.append(upload, 0, chunks(), max_bytes=NO_LIMIT)

    s3_server.start()
    await until_it_works(mortal, cool_down)
    offset = await mortal.upload_offset(upload)
    assert 32 * MIB <= offset <= 50 * MIB
    await mortal.append(upload, offset, stream(content[offset:]), max_bytes=NO_LIMIT)
    assert (await mortal.finish_upload(upload)).size_bytes == len(content)
    assert await content_of(mortal) == content


CALLS: dict[str, Callable[[S3ObjectStorage, UploadId], Coroutine[Any, Any, object]]] = {
    "begin": lambda storage, _: storage.begin_upload(KEY),
    "append": lambda storage, upload: storage.append(upload, 0, stream(b"x"), max_bytes=NO_LIMIT),
    "offset": lambda storage, upload: storage.upload_offset(upload),
    "finish": lambda storage, upload: storage.finish_upload(upload),
    "abort": lambda storage, upload: storage.abort_upload(upload),
    "purge": lambda storage, _: storage.purge_unfinished(older_than_s=60),
}


@pytest.mark.parametrize("name", CALLS)
async def test_the_circuit_breaker_stands_before_every_call(
    new_storage: NewStorage, s3_settings: S3Settings, name: str
) -> None:
    down = {"endpoint_url": "http://127.0.0.1:1", "attempts": 1}
    storage = new_storage(s3_settings.model_copy(update=down))
    upload = UploadId(f"{'0' * 32}/{KEY}")

    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await CALLS[name](storage, upload)
    sent: list[object] = []
    storage._client.meta.events.register("before-send.s3", lambda request, **_: sent.append(request))
    with pytest.raises(StorageUnavailable) as refused:
        await CALLS[name](storage, upload)

    assert "CircuitOpen" in repr(refused.value.__cause__)
    assert sent == []
