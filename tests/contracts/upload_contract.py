"""What every `ObjectStorage` does with uploads; part of `ObjectStorageContract`."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from tests.contracts.content import KEY, NO_LIMIT, content_of, stream
from vidintel.application.ports import ObjectStorage, UploadId
from vidintel.domain.errors import (
    ConflictError,
    PayloadTooLarge,
    UploadInUse,
    UploadNotFound,
    UploadOffsetMismatch,
)

MIB = 1024**2


async def append(storage: ObjectStorage, upload: UploadId, offset: int, *chunks: bytes, atomic: bool = False) -> int:
    return await storage.append(upload, offset, stream(*chunks), max_bytes=NO_LIMIT, atomic=atomic)


class UploadContract:
    """``other`` is a second instance over the same objects, as another process has it."""

    @pytest.fixture
    def storage(self) -> ObjectStorage:
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> ObjectStorage:
        raise NotImplementedError

    async def test_an_upload_becomes_an_object_when_it_is_finished(self, storage: ObjectStorage) -> None:
        upload = await storage.begin_upload(KEY)
        assert await storage.upload_offset(upload) == 0
        assert await append(storage, upload, 0, b"moving ", b"", b"pic") == 10
        assert await append(storage, upload, 10, b"tures") == 15
        assert await storage.upload_offset(upload) == 15
        assert await storage.size(KEY) is None

        stored = await storage.finish_upload(upload)

        assert (stored.key, stored.size_bytes) == (KEY, 15)
        assert stored.sha256 == hashlib.sha256(b"moving pictures").hexdigest()
        assert await content_of(storage) == b"moving pictures"

    @pytest.mark.parametrize("sizes", [[], [0], [1, 1, 1], [6 * MIB, 1, 6 * MIB, 5 * MIB - 1, 1], [20 * MIB, 3]])
    async def test_appends_may_have_any_size(
        self, storage: ObjectStorage, other: ObjectStorage, sizes: list[int]
    ) -> None:
        upload, content = await storage.begin_upload(KEY), b""
        for number, size in enumerate(sizes):
            part = bytes([number + 1]) * size
            taken_by = (storage, other)[number % 2]
            chunks = [part[start : start + 700_001] for start in range(0, size, 700_001)]
            assert await append(taken_by, upload, len(content), *chunks) == len(content) + size
            content += part

        stored = await other.finish_upload(upload)

        assert (stored.size_bytes, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert await content_of(storage) == content

    async def test_an_object_appears_when_its_upload_is_finished_and_replaces_what_was_there(
        self, storage: ObjectStorage
    ) -> None:
        await storage.put(KEY, stream(b"the first one"), max_bytes=NO_LIMIT)
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"second")
        assert await content_of(storage) == b"the first one"

        await storage.finish_upload(upload)

        assert await content_of(storage) == b"second"

    async def test_uploads_to_one_key_know_nothing_of_each_other(self, storage: ObjectStorage) -> None:
        one, another = [await storage.begin_upload(KEY) for _ in range(2)]
        await append(storage, one, 0, b"one")
        await append(storage, another, 0, b"another")

        await storage.finish_upload(one)
        assert await content_of(storage) == b"one"
        assert await storage.upload_offset(another) == 7
        await storage.finish_upload(another)

        assert await content_of(storage) == b"another"

    @pytest.mark.parametrize("offset", [0, 3, 5, 99, -1])
    async def test_another_offset_is_refused_and_the_right_one_is_told(
        self, storage: ObjectStorage, offset: int
    ) -> None:
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"1234")

        with pytest.raises(UploadOffsetMismatch) as refused:
            await append(storage, upload, offset, b"wrong")

        assert (refused.value.given, refused.value.current) == (offset, 4)
        assert await storage.upload_offset(upload) == 4

    async def test_an_append_that_was_made_already_is_refused(
        self, storage: ObjectStorage, other: ObjectStorage
    ) -> None:
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"1234")

        for again in (storage, other):
            with pytest.raises(UploadOffsetMismatch):
                await append(again, upload, 0, b"1234")

    async def test_of_two_appends_at_once_one_counts(self, storage: ObjectStorage, other: ObjectStorage) -> None:
        upload = await storage.begin_upload(KEY)
        is_open, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"slow"
            is_open.set()
            await go_on.wait()

        first = asyncio.create_task(storage.append(upload, 0, slow(), max_bytes=NO_LIMIT))
        await is_open.wait()
        second = await asyncio.gather(append(other, upload, 0, b"fast"), return_exceptions=True)
        go_on.set()
        ends = await asyncio.gather(first, return_exceptions=True) + second

        assert 4 in ends
        assert any(isinstance(end, UploadInUse) for end in ends)
        await storage.finish_upload(upload)
        assert await content_of(storage) == (b"slow" if ends[0] == 4 else b"fast")

    @pytest.mark.parametrize("size", [4, 9 * MIB])
    async def test_a_source_that_breaks_off_keeps_what_came(
        self, storage: ObjectStorage, other: ObjectStorage, size: int
    ) -> None:
        upload = await storage.begin_upload(KEY)

        broken = stream(b"a" * size, b"b" * size, then=ConnectionResetError("gone"))
        with pytest.raises(ConnectionResetError):
            await storage.append(upload, 0, broken, max_bytes=NO_LIMIT)

        assert await other.upload_offset(upload) == 2 * size
        await append(other, upload, 2 * size, b"c")
        await other.finish_upload(upload)
        assert await content_of(storage) == b"a" * size + b"b" * size + b"c"

    async def test_a_cancelled_append_keeps_what_came(self, storage: ObjectStorage) -> None:
        upload, is_open = await storage.begin_upload(KEY), asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield b"half"
            is_open.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(storage.append(upload, 0, stalled(), max_bytes=NO_LIMIT))
        await is_open.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await storage.upload_offset(upload) == 4

    @pytest.mark.parametrize("size", [4, 9 * MIB, 20 * MIB])
    async def test_an_atomic_append_counts_whole_or_not_at_all(
        self, storage: ObjectStorage, other: ObjectStorage, size: int
    ) -> None:
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"kept")

        wrong = stream(b"x" * size, b"y" * size, then=ValueError("checksum"))
        with pytest.raises(ValueError, match="checksum"):
            await storage.append(upload, 4, wrong, max_bytes=NO_LIMIT, atomic=True)

        assert await other.upload_offset(upload) == 4
        assert await append(storage, upload, 4, b"z" * size, atomic=True) == 4 + size
        stored = await storage.finish_upload(upload)
        assert stored.sha256 == hashlib.sha256(b"kept" + b"z" * size).hexdigest()
        assert await content_of(other) == b"kept" + b"z" * size

    async def test_the_limit_is_that_of_the_whole_object(self, storage: ObjectStorage) -> None:
        upload = await storage.begin_upload(KEY)
        await storage.append(upload, 0, stream(b"12345"), max_bytes=10)

        with pytest.raises(PayloadTooLarge):
            await storage.append(upload, 5, stream(b"67", b"8901"), max_bytes=10, atomic=True)
        with pytest.raises(PayloadTooLarge):
            await storage.append(upload, 5, stream(b"67", b"8901"), max_bytes=10)

        assert await storage.upload_offset(upload) == 7
        assert await storage.append(upload, 7, stream(b"890"), max_bytes=10) == 10

    @pytest.mark.parametrize("size", [0, 5, 6 * MIB])
    async def test_finishing_may_be_repeated(self, storage: ObjectStorage, other: ObjectStorage, size: int) -> None:
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"x" * size)
        stored = await storage.finish_upload(upload)

        assert await storage.finish_upload(upload) == stored
        assert await other.finish_upload(upload) == stored
        assert await other.upload_offset(upload) == size
        assert await content_of(storage) == b"x" * size

    async def test_nothing_is_appended_to_a_finished_upload(self, storage: ObjectStorage) -> None:
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"whole")
        await storage.finish_upload(upload)

        with pytest.raises(UploadNotFound):
            await append(storage, upload, 5, b"more")

        assert await content_of(storage) == b"whole"

    async def test_aborting_a_finished_upload_spares_its_object(self, storage: ObjectStorage) -> None:
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"whole")
        await storage.finish_upload(upload)

        await storage.abort_upload(upload)

        assert await content_of(storage) == b"whole"

    @pytest.mark.parametrize("size", [5, 6 * MIB])
    async def test_an_aborted_upload_is_gone_also_where_an_object_was_before(
        self, storage: ObjectStorage, other: ObjectStorage, size: int
    ) -> None:
        await storage.put(KEY, stream(b"the first one"), max_bytes=NO_LIMIT)
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"x" * size)

        await other.abort_upload(upload)
        await other.abort_upload(upload)

        with pytest.raises(UploadNotFound):
            await storage.upload_offset(upload)
        with pytest.raises(UploadNotFound):
            await append(storage, upload, size, b"more")
        with pytest.raises(UploadNotFound):
            await storage.finish_upload(upload)
        assert await content_of(storage) == b"the first one"
        assert await storage.purge_unfinished(older_than_s=-60) == 0

    async def test_an_append_to_an_upload_that_is_aborted_meanwhile_fails(
        self, storage: ObjectStorage, other: ObjectStorage
    ) -> None:
        upload = await storage.begin_upload(KEY)

        async def aborted() -> AsyncIterator[bytes]:
            yield b"half"
            await other.abort_upload(upload)

        with pytest.raises(UploadNotFound):
            await storage.append(upload, 0, aborted(), max_bytes=NO_LIMIT)

    @pytest.mark.parametrize("size", [0, 5, 6 * MIB])
    async def test_purging_removes_uploads_that_were_left_alone(self, storage: ObjectStorage, size: int) -> None:
        upload = await storage.begin_upload(KEY)
        await append(storage, upload, 0, b"x" * size)

        assert await storage.purge_unfinished(older_than_s=3600) == 0
        assert await storage.upload_offset(upload) == size
        assert await storage.purge_unfinished(older_than_s=-60) == 1
        with pytest.raises(UploadNotFound):
            await storage.upload_offset(upload)
        with pytest.raises((UploadNotFound, ConflictError)):
            await append(storage, upload, size, b"more")

    @pytest.mark.parametrize("upload", ["", "x", KEY, f"../{KEY}", f"{'0' * 32}/../x", f"{'0' * 32}/", "0" * 32])
    async def test_only_ids_of_uploads_are_accepted(self, storage: ObjectStorage, upload: str) -> None:
        with pytest.raises(ValueError, match="not an"):
            await storage.upload_offset(UploadId(upload))
        with pytest.raises(ValueError, match="not an"):
            await append(storage, UploadId(upload), 0, b"x")
        with pytest.raises(ValueError, match="not an"):
            await storage.finish_upload(UploadId(upload))
        with pytest.raises(ValueError, match="not an"):
            await storage.abort_upload(UploadId(upload))
