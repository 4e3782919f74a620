"""What the local disk adds to the contract: locks, room, and what a dead process leaves."""

import fcntl
import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.content import KEY, NO_LIMIT, content_of, stream
from vidintel.application.ports import UploadId
from vidintel.domain.errors import StorageError, StorageFull, UploadInUse, UploadNotFound
from vidintel.infrastructure.storage.local_disk import LocalDiskObjectStorage

MIB = 1024**2


@pytest.fixture
def storage(tmp_path: Path) -> LocalDiskObjectStorage:
    return LocalDiskObjectStorage(tmp_path, min_free_bytes=0)


def folder_of(root: Path, upload: UploadId) -> Path:
    return root / ".uploads" / upload.partition("/")[0]


def files_under(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]


def age(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (time.time() - 7200, time.time() - 7200))


async def test_one_appends_at_a_time(storage: LocalDiskObjectStorage, tmp_path: Path) -> None:
    upload = await storage.begin_upload(KEY)
    other = LocalDiskObjectStorage(tmp_path, min_free_bytes=0)
    refused: list[UploadInUse] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * MIB
        for attempt in (other.append(upload, 0, stream(b"y"), max_bytes=NO_LIMIT), other.finish_upload(upload)):
            with pytest.raises(UploadInUse) as caught:
                await attempt
            refused.append(caught.value)

    assert await storage.append(upload, 0, chunks(), max_bytes=NO_LIMIT) == MIB
    assert len(refused) == 2


async def test_checkpoints_count_when_the_disk_fills_up(tmp_path: Path) -> None:
    def free(_folder: Path) -> int:
        return 40 * MIB - sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    storage = LocalDiskObjectStorage(tmp_path, min_free_bytes=0, free=free)
    upload = await storage.begin_upload(KEY)

    with pytest.raises(StorageFull):
        await storage.append(upload, 0, stream(*[b"x" * MIB] * 64), max_bytes=NO_LIMIT)

    assert await storage.upload_offset(upload) == 32 * MIB


async def test_an_upload_that_has_no_room_is_not_started(tmp_path: Path) -> None:
    storage = LocalDiskObjectStorage(tmp_path, min_free_bytes=2**62)

    with pytest.raises(StorageFull):
        await storage.begin_upload(KEY)

    assert list((tmp_path / ".uploads").iterdir()) == []


async def test_bytes_that_were_not_committed_do_not_count(storage: LocalDiskObjectStorage, tmp_path: Path) -> None:
    upload = await storage.begin_upload(KEY)
    await storage.append(upload, 0, stream(b"12345"), max_bytes=NO_LIMIT)
    with (folder_of(tmp_path, upload) / "5").open("ab") as file:
        file.write(b"left by a process that died")

    assert await storage.upload_offset(upload) == 5
    assert await storage.append(upload, 5, stream(b"67"), max_bytes=NO_LIMIT) == 7
    with (folder_of(tmp_path, upload) / "7").open("ab") as file:
        file.write(b"and again")
    await storage.finish_upload(upload)

    assert await content_of(storage) == b"1234567"


async def test_bytes_that_are_missing_are_noticed(storage: LocalDiskObjectStorage, tmp_path: Path) -> None:
    upload = await storage.begin_upload(KEY)
    await storage.append(upload, 0, stream(b"12345"), max_bytes=NO_LIMIT)
    os.truncate(folder_of(tmp_path, upload) / "5", 3)

    with pytest.raises(StorageError, match="lost bytes"):
        await storage.append(upload, 5, stream(b"67"), max_bytes=NO_LIMIT)
    with pytest.raises(StorageError, match="lost bytes"):
        await storage.finish_upload(upload)


async def test_uploads_that_were_left_alone_are_purged_and_others_are_not(
    storage: LocalDiskObjectStorage, tmp_path: Path
) -> None:
    idle, active, writing = [await storage.begin_upload(f"videos/{name}") for name in ("idle", "active", "writing")]
    for upload in (idle, active, writing):
        await storage.append(upload, 0, stream(b"x"), max_bytes=NO_LIMIT)
        age(folder_of(tmp_path, upload))
    await storage.append(active, 1, stream(b"y"), max_bytes=NO_LIMIT)

    with (folder_of(tmp_path, writing) / "1").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert await storage.purge_unfinished(older_than_s=3600) == 1

    assert [await storage.upload_offset(upload) for upload in (active, writing)] == [2, 1]
    with pytest.raises(UploadNotFound):
        await storage.upload_offset(idle)
    assert list((tmp_path / ".tmp").iterdir()) == []


async def test_nothing_of_a_finished_or_aborted_upload_stays(storage: LocalDiskObjectStorage, tmp_path: Path) -> None:
    finished, aborted = [await storage.begin_upload(f"videos/{name}") for name in ("finished", "aborted")]
    for upload in (finished, aborted):
        await storage.append(upload, 0, stream(b"x"), max_bytes=NO_LIMIT)
    await storage.finish_upload(finished)
    await storage.abort_upload(aborted)
    age(folder_of(tmp_path, finished))

    assert await storage.purge_unfinished(older_than_s=3600) == 0

    assert files_under(tmp_path) == ["videos/finished"]
    assert list((tmp_path / ".uploads").iterdir()) == []


async def test_what_an_abort_left_when_it_died_is_purged(storage: LocalDiskObjectStorage, tmp_path: Path) -> None:
    discarded = tmp_path / ".tmp" / "discarded"
    discarded.mkdir(parents=True)
    (discarded / "5").write_bytes(b"12345")
    age(discarded)

    assert await storage.purge_unfinished(older_than_s=3600) == 1
    assert not discarded.exists()


async def test_an_object_that_was_deleted_after_its_upload_was_finished_is_not_found(
    storage: LocalDiskObjectStorage,
) -> None:
    upload = await storage.begin_upload(KEY)
    await storage.finish_upload(upload)
    await storage.delete(KEY)

    with pytest.raises(UploadNotFound):
        await storage.upload_offset(upload)
    with pytest.raises(UploadNotFound):
        await storage.finish_upload(upload)


async def test_memory_stays_bounded_whatever_the_size(storage: LocalDiskObjectStorage) -> None:
    upload = await storage.begin_upload(KEY)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(MIB)

    tracemalloc.start()
    try:
        await storage.append(upload, 0, endless(), max_bytes=NO_LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * MIB
