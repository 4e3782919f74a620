import asyncio
import errno
import io
import os
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.contracts.content import KEY, NO_LIMIT, content_of, stream
from tests.contracts.object_storage_contract import ObjectStorageContract
from vidintel.application.ports import ObjectStorage
from vidintel.domain.errors import DomainError, PayloadTooLarge, StorageError, StorageFull
from vidintel.infrastructure.storage.disk_file import create_file
from vidintel.infrastructure.storage.local_disk import LocalDiskObjectStorage

MIB = 1024**2


def files_under(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


class FullDisk(io.FileIO):
    """A file on a disk that takes ``room`` bytes more; like the real thing it writes what still fits."""

    def __init__(self, path: Path, room: int, code: int = errno.ENOSPC) -> None:
        super().__init__(path, "xb")
        self._room = room
        self._code = code

    def write(self, data: memoryview) -> int:  # type: ignore[override]  # the storage writes nothing else
        fits = data[: self._room]
        if not fits:
            raise OSError(self._code, os.strerror(self._code))
        self._room -= len(fits)
        return super().write(fits)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def storage(root: Path) -> LocalDiskObjectStorage:
    return LocalDiskObjectStorage(root, min_free_bytes=0)


class TestLocalDiskObjectStorage(ObjectStorageContract):
    @pytest.fixture
    def storage(self, root: Path) -> ObjectStorage:
        return LocalDiskObjectStorage(root, min_free_bytes=0)

    @pytest.fixture
    def other(self, root: Path) -> ObjectStorage:
        return LocalDiskObjectStorage(root, min_free_bytes=0)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/videos",
        "videos/",
        "videos//source",
        "../videos",
        "videos/../x",
        "a.b",
        "A",
        "a b",
        "a\n",
        "a\\b",
        "ä",
    ],
)
async def test_only_strictly_formed_keys_are_accepted(storage: LocalDiskObjectStorage, key: str) -> None:
    with pytest.raises(ValueError, match="not an object key"):
        await storage.put(key, stream(b"x"), max_bytes=NO_LIMIT)
    with pytest.raises(ValueError, match="not an object key"):
        storage.read(key)
    with pytest.raises(ValueError, match="not an object key"):
        storage.open(key)
    with pytest.raises(ValueError, match="not an object key"):
        await storage.size(key)
    with pytest.raises(ValueError, match="not an object key"):
        await storage.delete(key)


async def test_a_range_that_runs_backwards_is_a_fault_of_the_caller(storage: LocalDiskObjectStorage) -> None:
    with pytest.raises(ValueError, match="not a range"):
        storage.read(KEY, 5, 3)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("room", [0, 100, MIB + 5, 3 * MIB])
async def test_a_disk_that_fills_up_is_storage_full_and_leaves_no_file(root: Path, room: int, code: int) -> None:
    storage = LocalDiskObjectStorage(root, min_free_bytes=0, create=lambda path: FullDisk(path, room, code))

    with pytest.raises(StorageFull):
        await storage.put(KEY, stream(*[b"x" * 300_000] * 20), max_bytes=NO_LIMIT)

    assert files_under(root) == []


async def test_short_writes_lose_nothing(root: Path) -> None:
    class Reluctant(io.FileIO):
        def write(self, data: memoryview) -> int:  # type: ignore[override]  # the storage writes nothing else
            return super().write(data[:65_537])

    storage = LocalDiskObjectStorage(root, min_free_bytes=0, create=lambda path: Reluctant(path, "xb"))
    await storage.put(KEY, stream(b"y" * MIB, b"z" * MIB), max_bytes=NO_LIMIT)

    assert await content_of(storage) == b"y" * MIB + b"z" * MIB


async def test_the_reserve_is_kept_free_from_the_start(root: Path) -> None:
    asked: list[bytes] = []

    async def source() -> AsyncIterator[bytes]:
        asked.append(b"x")
        yield b"x"

    storage = LocalDiskObjectStorage(root, min_free_bytes=2**62)

    with pytest.raises(StorageFull):
        await storage.put(KEY, source(), max_bytes=NO_LIMIT)
    with pytest.raises(StorageFull):
        await storage.check()
    assert asked == []
    assert files_under(root) == []


async def test_the_reserve_is_kept_free_while_writing(root: Path) -> None:
    def free(_folder: Path) -> int:
        return 5 * MIB - sum(path.stat().st_size for path in root.rglob("*") if path.is_file())

    storage = LocalDiskObjectStorage(root, min_free_bytes=2 * MIB, free=free)

    await storage.put("videos/fits/source", stream(*[b"x" * MIB] * 2), max_bytes=NO_LIMIT)
    with pytest.raises(StorageFull):
        await storage.put(KEY, stream(*[b"x" * MIB] * 2), max_bytes=NO_LIMIT)

    assert files_under(root) == ["videos/fits/source"]


async def test_other_faults_of_the_disk_are_storage_errors_that_tell_no_path(root: Path) -> None:
    storage = LocalDiskObjectStorage(root, min_free_bytes=0, create=lambda path: FullDisk(path, 2, errno.EIO))

    with pytest.raises(StorageError) as caught:
        await storage.put(KEY, stream(b"x" * 200), max_bytes=NO_LIMIT)
    with pytest.raises(StorageError):
        await storage.check()

    assert str(root) not in caught.value.detail
    assert files_under(root) == []


async def test_a_root_that_is_no_folder_is_a_storage_error(tmp_path: Path) -> None:
    create_file(tmp_path / "file").close()
    storage = LocalDiskObjectStorage(tmp_path / "file", min_free_bytes=0)

    with pytest.raises(StorageError):
        await storage.check()
    with pytest.raises(StorageError):
        await storage.put(KEY, stream(b"x"), max_bytes=NO_LIMIT)
    assert await storage.size(KEY) is None


@pytest.mark.parametrize("blocks", [0, 1, 3])
@pytest.mark.parametrize(
    "error", [ConnectionResetError("gone"), OSError(errno.ENOSPC, "not our disk"), KeyError("bug")]
)
async def test_a_failing_source_passes_through_and_leaves_no_file(
    storage: LocalDiskObjectStorage, root: Path, blocks: int, error: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        await storage.put(KEY, stream(*[b"x" * MIB] * blocks, then=error), max_bytes=NO_LIMIT)

    assert caught.value is error
    assert files_under(root) == []


async def test_too_much_leaves_no_file(storage: LocalDiskObjectStorage, root: Path) -> None:
    with pytest.raises(PayloadTooLarge):
        await storage.put(KEY, stream(*[b"x" * MIB] * 4), max_bytes=3 * MIB)

    assert files_under(root) == []


async def test_a_put_cancelled_while_its_block_is_being_written_leaves_no_file(root: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(io.FileIO):
        def write(self, data: memoryview) -> int:  # type: ignore[override]  # the storage writes nothing else
            entered.set()
            go_on.wait(30)
            return super().write(data)

    storage = LocalDiskObjectStorage(root, min_free_bytes=0, create=lambda path: Slow(path, "xb"))
    put = asyncio.create_task(storage.put(KEY, stream(*[b"x" * MIB] * 3), max_bytes=NO_LIMIT))
    assert await asyncio.to_thread(entered.wait, 30)
    put.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await put

    assert files_under(root) == []


async def test_a_write_that_fails_behind_a_failing_source_is_not_reported_twice(root: Path) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    failed = threading.Event()

    class Broken(io.FileIO):
        def write(self, data: memoryview) -> int:  # type: ignore[override]  # the storage writes nothing else
            failed.set()
            raise OSError(errno.EIO, "broken")

    async def source() -> AsyncIterator[bytes]:
        yield b"x" * MIB
        await asyncio.to_thread(failed.wait, 30)
        raise ConnectionResetError

    storage = LocalDiskObjectStorage(root, min_free_bytes=0, create=lambda path: Broken(path, "xb"))
    with pytest.raises(ConnectionResetError):
        await storage.put(KEY, source(), max_bytes=NO_LIMIT)

    assert reported == []
    assert files_under(root) == []


async def test_memory_stays_bounded_whatever_the_size(storage: LocalDiskObjectStorage) -> None:
    async def endless(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 65_536):
            yield bytes(65_536)

    tracemalloc.start()
    try:
        await storage.put(KEY, endless(64 * MIB), max_bytes=NO_LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * MIB


async def test_a_dropped_reader_closes_its_file(storage: LocalDiskObjectStorage, open_files: Callable[[], int]) -> None:
    await storage.put(KEY, stream(b"x" * 3 * MIB), max_bytes=NO_LIMIT)
    before = open_files()

    blocks = storage.read(KEY)
    await anext(blocks)
    assert open_files() == before + 1
    del blocks
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert open_files() == before


@pytest.fixture
def open_files(root: Path) -> Callable[[], int]:
    """How many descriptors of this process point into the storage."""
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")

    def count() -> int:
        inodes = {(path.stat().st_dev, path.stat().st_ino) for path in root.rglob("*") if path.is_file()}
        found = 0
        for entry in folder.iterdir():
            try:
                state = os.fstat(int(entry.name))
            except OSError:  # the descriptor that listed the folder
                continue
            found += (state.st_dev, state.st_ino) in inodes
        return found

    return count


async def test_deleting_removes_folders_that_became_empty(storage: LocalDiskObjectStorage, root: Path) -> None:
    await storage.put("videos/one/source", stream(b"1"), max_bytes=NO_LIMIT)
    await storage.put("videos/two/source", stream(b"2"), max_bytes=NO_LIMIT)

    await storage.delete("videos/one/source")
    assert [path.name for path in (root / "videos").iterdir()] == ["two"]
    await storage.delete("videos/two/source")
    assert not (root / "videos").exists()


async def test_puts_and_deletes_in_one_folder_do_not_disturb_each_other(storage: LocalDiskObjectStorage) -> None:
    async def come_and_go(name: str) -> None:
        for _ in range(40):
            await storage.put(f"videos/shared/{name}", stream(b"x"), max_bytes=NO_LIMIT)
            await storage.delete(f"videos/shared/{name}")

    await asyncio.gather(*(come_and_go(f"n{number}") for number in range(4)))


async def test_purging_removes_what_dead_writes_left_and_spares_the_living(
    storage: LocalDiskObjectStorage, root: Path
) -> None:
    purged: list[int] = []
    (root / ".tmp").mkdir(parents=True)
    dead = root / ".tmp" / "dead"
    dead.write_bytes(b"half")
    os.utime(dead, (time.time() - 7200, time.time() - 7200))

    async def living() -> AsyncIterator[bytes]:
        yield b"x" * MIB
        purged.append(await storage.purge_unfinished(older_than_s=3600))
        yield b"y"

    await storage.put(KEY, living(), max_bytes=NO_LIMIT)

    assert purged == [1]
    assert files_under(root) == [KEY]


async def test_a_write_that_was_purged_fails_instead_of_pretending(storage: LocalDiskObjectStorage) -> None:
    async def too_slow() -> AsyncIterator[bytes]:
        yield b"x"
        await storage.purge_unfinished(older_than_s=-1)

    with pytest.raises(DomainError):
        await storage.put(KEY, too_slow(), max_bytes=NO_LIMIT)


async def test_check_leaves_no_file(storage: LocalDiskObjectStorage, root: Path) -> None:
    await storage.check()

    assert files_under(root) == []


def test_files_are_created_never_reused(tmp_path: Path) -> None:
    create_file(tmp_path / "new").close()

    with pytest.raises(FileExistsError):
        create_file(tmp_path / "new")
