"""What every `ObjectStorage` does. A subclass per adapter gives the fixtures ``storage`` and ``other``."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from tests.contracts.content import KEY, NO_LIMIT, content_of, stream
from tests.contracts.upload_contract import UploadContract
from vidintel.application.ports import ObjectStorage
from vidintel.domain.errors import PayloadTooLarge, StorageError


class ObjectStorageContract(UploadContract):
    async def test_what_was_put_is_read_back_with_its_size_and_hash(self, storage: ObjectStorage) -> None:
        stored = await storage.put(KEY, stream(b"moving ", b"", b"pictures"), max_bytes=NO_LIMIT)

        assert (stored.key, stored.size_bytes) == (KEY, 15)
        assert stored.sha256 == hashlib.sha256(b"moving pictures").hexdigest()
        assert await content_of(storage) == b"moving pictures"
        assert await storage.size(KEY) == 15

    async def test_objects_of_several_megabytes_keep_every_byte(self, storage: ObjectStorage) -> None:
        chunks = [bytes([number]) * 70_001 for number in range(60)]

        stored = await storage.put(KEY, stream(*chunks), max_bytes=NO_LIMIT)

        assert stored.sha256 == hashlib.sha256(b"".join(chunks)).hexdigest()
        assert await content_of(storage) == b"".join(chunks)

    async def test_an_empty_object_is_an_object(self, storage: ObjectStorage) -> None:
        stored = await storage.put(KEY, stream(), max_bytes=NO_LIMIT)

        assert (stored.size_bytes, stored.sha256) == (0, hashlib.sha256().hexdigest())
        assert await storage.size(KEY) == 0
        assert await content_of(storage) == b""

    async def test_putting_again_replaces_the_object(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, stream(b"the first one"), max_bytes=NO_LIMIT)
        await storage.put(KEY, stream(b"second"), max_bytes=NO_LIMIT)

        assert await content_of(storage) == b"second"

    async def test_exactly_the_limit_is_accepted(self, storage: ObjectStorage) -> None:
        assert (await storage.put(KEY, stream(b"12345", b"67890"), max_bytes=10)).size_bytes == 10

    async def test_a_byte_more_than_the_limit_is_refused_and_leaves_nothing(self, storage: ObjectStorage) -> None:
        with pytest.raises(PayloadTooLarge):
            await storage.put(KEY, stream(b"12345", b"67890", b"!"), max_bytes=10)

        assert await storage.size(KEY) is None

    async def test_a_failing_source_passes_through_and_leaves_nothing(self, storage: ObjectStorage) -> None:
        with pytest.raises(ConnectionResetError):
            await storage.put(KEY, stream(b"half", then=ConnectionResetError("gone")), max_bytes=NO_LIMIT)

        assert await storage.size(KEY) is None

    async def test_a_failed_put_keeps_the_object_that_was_there(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, stream(b"the good one"), max_bytes=NO_LIMIT)

        with pytest.raises(PayloadTooLarge):
            await storage.put(KEY, stream(b"far too much of it"), max_bytes=4)

        assert await content_of(storage) == b"the good one"

    async def test_a_cancelled_put_leaves_nothing(self, storage: ObjectStorage) -> None:
        waiting = asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield b"half"
            waiting.set()
            await asyncio.Event().wait()

        put = asyncio.create_task(storage.put(KEY, stalled(), max_bytes=NO_LIMIT))
        await waiting.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put

        assert await storage.size(KEY) is None

    async def test_an_object_is_not_seen_before_it_is_whole(self, storage: ObjectStorage) -> None:
        sizes: list[int | None] = []

        async def watched() -> AsyncIterator[bytes]:
            yield b"half"
            sizes.append(await storage.size(KEY))
            yield b"whole"

        await storage.put(KEY, watched(), max_bytes=NO_LIMIT)

        assert sizes == [None]

    @pytest.mark.parametrize(
        ("start", "end"), [(0, None), (0, 32), (0, 0), (5, 9), (31, 32), (31, 99), (7, None), (32, None), (40, 50)]
    )
    async def test_a_range_is_the_bytes_from_start_up_to_before_end(
        self, storage: ObjectStorage, start: int, end: int | None
    ) -> None:
        content = bytes(range(32))
        await storage.put(KEY, stream(content), max_bytes=NO_LIMIT)

        assert await content_of(storage, KEY, start, end) == content[start:end]

    async def test_a_range_over_several_blocks_is_exact(self, storage: ObjectStorage) -> None:
        content = bytes(index % 251 for index in range(3 * 1024**2))
        await storage.put(KEY, stream(content), max_bytes=NO_LIMIT)

        assert await content_of(storage, KEY, 1_000_003, 2_500_009) == content[1_000_003:2_500_009]

    async def test_reading_may_stop_early(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, stream(b"x" * 3 * 1024**2), max_bytes=NO_LIMIT)
        blocks = storage.read(KEY)
        assert await anext(blocks)
        del blocks

    async def test_open_gives_a_seekable_reader(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, stream(b"moving pictures"), max_bytes=NO_LIMIT)

        with storage.open(KEY) as reader:
            reader.seek(7)
            assert reader.read(8) == b"pictures"
            assert reader.seek(-8, 2) == 7

    async def test_what_is_not_there_cannot_be_read_or_opened(self, storage: ObjectStorage) -> None:
        assert await storage.size(KEY) is None
        with pytest.raises(StorageError):
            await content_of(storage)
        with pytest.raises(StorageError):
            storage.open(KEY)

    async def test_a_deleted_object_is_gone_and_its_neighbour_is_not(self, storage: ObjectStorage) -> None:
        await storage.put("videos/one/source", stream(b"1"), max_bytes=NO_LIMIT)
        await storage.put("videos/one/poster", stream(b"2"), max_bytes=NO_LIMIT)

        await storage.delete("videos/one/source")

        assert await storage.size("videos/one/source") is None
        assert await content_of(storage, "videos/one/poster") == b"2"

    async def test_deleting_what_is_not_there_is_no_error(self, storage: ObjectStorage) -> None:
        await storage.delete(KEY)

    async def test_purging_spares_objects(self, storage: ObjectStorage) -> None:
        await storage.put(KEY, stream(b"whole"), max_bytes=NO_LIMIT)

        assert await storage.purge_unfinished(older_than_s=0) == 0
        assert await content_of(storage) == b"whole"

    async def test_check_passes_where_objects_can_be_written(self, storage: ObjectStorage) -> None:
        await storage.check()
