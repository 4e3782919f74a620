"""Objects as files under one folder of the local disk."""

import asyncio
import io
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO
from uuid import uuid4

from vidintel.application.ports import UploadId
from vidintel.domain.errors import UploadNotFound
from vidintel.domain.video import StoredContent
from vidintel.infrastructure.storage.disk_file import DiskSpace, create_file, free_bytes, translated
from vidintel.infrastructure.storage.disk_uploads import DiskUploads
from vidintel.infrastructure.storage.disk_write import DiskWrite
from vidintel.infrastructure.storage.hashes import hash_of
from vidintel.infrastructure.storage.keys import parts_of, require_key
from vidintel.infrastructure.storage.streaming import stream_into

# Large enough that a hop to a thread costs nothing beside hashing and writing the block.
_BLOCK_BYTES = 512 * 1024


class LocalDiskObjectStorage:
    """Keeps objects as files below ``root`` named by their keys, and writes in progress in ``root/.tmp``.

    Uploads lie in ``root/.uploads``, as `DiskUploads` says.
    ``min_free_bytes`` stay free on it. All file work happens in threads; a write holds about two blocks of 512 KiB in
    memory, one being received while the other is hashed and written. ``create`` and ``free`` are how files are made
    and room is measured.
    """

    def __init__(
        self,
        root: Path,
        *,
        min_free_bytes: int,
        create: Callable[[Path], io.RawIOBase] = create_file,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._root = root
        self._unfinished = root / ".tmp"  # no key can name it: keys have no dots
        self._space = DiskSpace(min_free_bytes, free)
        self._create = create
        self._uploads = DiskUploads(root, root / ".uploads", self._unfinished, self._space)

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        write = self._new_write(self._path(key))
        sha256, size = await stream_into(write, chunks, executor=None, block_bytes=_BLOCK_BYTES, max_bytes=max_bytes)
        return StoredContent(key=key, size_bytes=size, sha256=sha256)

    async def begin_upload(self, key: str) -> UploadId:
        return await asyncio.to_thread(self._uploads.begin, key)

    async def append(
        self, upload: UploadId, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int, atomic: bool = False
    ) -> int:
        append = self._uploads.appending(upload, offset, atomic=atomic)
        durable, _ = await stream_into(
            append, chunks, executor=None, block_bytes=_BLOCK_BYTES, max_bytes=max_bytes, received=offset
        )
        return durable

    async def upload_offset(self, upload: UploadId) -> int:
        offset = await asyncio.to_thread(self._uploads.offset, upload)
        if offset is None:
            offset = await self.size(parts_of(upload)[1])
        if offset is None:
            raise UploadNotFound
        return offset

    async def finish_upload(self, upload: UploadId) -> StoredContent:
        key = parts_of(upload)[1]
        known = await asyncio.to_thread(self._uploads.finish, upload)
        if known is None and await self.size(key) is None:
            raise UploadNotFound
        sha256, size = known or await hash_of(self.read(key), None)
        return StoredContent(key=key, size_bytes=size, sha256=sha256)

    async def abort_upload(self, upload: UploadId) -> None:
        await asyncio.to_thread(self._uploads.abort, upload)

    async def size(self, key: str) -> int | None:
        path = self._path(key)

        def measure() -> int | None:
            with translated(), suppress(FileNotFoundError, NotADirectoryError):
                return path.stat().st_size if path.is_file() else None
            return None

        return await asyncio.to_thread(measure)

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        path = self._path(key)
        if start < 0 or (end is not None and end < start):
            raise ValueError(f"not a range of bytes: {start} to {end}")
        return _blocks(path, start, end)

    def open(self, key: str) -> BinaryIO:
        with translated():
            return self._path(key).open("rb")

    async def link(self, key: str, *, media_type: str, file_name: str) -> str | None:  # noqa: ARG002 - there are none
        return None

    async def delete(self, key: str) -> None:
        path = self._path(key)

        def remove() -> None:
            with translated():
                try:
                    path.unlink()
                except (FileNotFoundError, NotADirectoryError):
                    return
            for folder in path.parents:
                if folder == self._root:
                    return
                try:
                    folder.rmdir()
                except OSError:  # holds other objects, or one is being put there right now
                    return

        await asyncio.to_thread(remove)

    async def purge_unfinished(self, older_than_s: float) -> int:
        def purge() -> int:
            newest = time.time() - older_than_s
            removed = 0
            with translated(), suppress(FileNotFoundError):
                for path in self._unfinished.iterdir():
                    with suppress(FileNotFoundError):  # published or aborted meanwhile
                        if path.stat().st_mtime > newest:
                            continue
                        if path.is_dir():  # an upload whose removal broke off
                            shutil.rmtree(path)
                        else:
                            path.unlink()
                        removed += 1
            return removed + self._uploads.purge(newest)

        return await asyncio.to_thread(purge)

    async def check(self) -> None:
        def probe() -> None:
            write = self._new_write(self._unfinished / "never-published")
            try:
                write.open()
                write.seal([b"probe"])
            finally:
                write.abort([])

        await asyncio.to_thread(probe)

    def close(self) -> None:
        """Nothing is held between calls."""

    def _path(self, key: str) -> Path:
        return self._root / require_key(key)

    def _new_write(self, target: Path) -> DiskWrite:
        temporary = self._unfinished / uuid4().hex
        return DiskWrite(temporary, target, self._root, self._space, self._create)


class _Reader:
    """A file whose `close` waits for a `read` in another thread, because the descriptor may be reused afterwards."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._start = start
        self._lock = Lock()
        self._file: io.FileIO | None = None
        self._closed = False

    def read(self, size: int) -> bytes:
        with self._lock, translated():
            if self._closed:
                return b""
            if self._file is None:
                self._file = self._path.open("rb", buffering=0)
                self._file.seek(self._start)
            return self._file.read(size) or b""

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()


async def _blocks(path: Path, start: int, end: int | None) -> AsyncIterator[bytes]:
    reader = _Reader(path, start)
    position = start
    try:
        while True:
            size = _BLOCK_BYTES if end is None else min(_BLOCK_BYTES, end - position)
            block = await asyncio.to_thread(reader.read, size)
            if not block:
                return
            position += len(block)
            yield block
    finally:
        reader.close()
