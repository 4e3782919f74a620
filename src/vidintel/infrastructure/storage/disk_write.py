"""Writing one object to the local disk: to a temporary file, made durable, then moved to its place in one step."""

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from vidintel.domain.errors import StorageError, StorageFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_ATTEMPTS = 20
_WRITEBACK_BYTES = 8 * 1024**2


def create_file(path: Path) -> io.RawIOBase:
    """A new file without a buffer: ours are blocks already, and closing it cannot fail for want of room."""
    return path.open("xb", buffering=0)


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the file system of ``folder``."""
    return shutil.disk_usage(folder).free


@contextmanager
def translated() -> Iterator[None]:
    """What the operating system says, in the domain's words. The path stays out: it is nothing for a client to know."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull from error
        raise StorageError(f"The storage failed: {error.strerror or type(error).__name__}.") from error


class DiskWrite:
    """A `BlockWriter` for one object: writes ``path``, then moves it to ``target``, a path below ``root``."""

    def __init__(
        self,
        path: Path,
        target: Path,
        root: Path,
        min_free_bytes: int,
        create: Callable[[Path], io.RawIOBase],
        free: Callable[[Path], int],
    ) -> None:
        self._path = path
        self._target = target
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._create = create
        self._free = free
        self._lock = Lock()
        self._sha256 = hashlib.sha256()
        self._written = 0
        self._sent_to_disk = 0
        self._file: io.RawIOBase | None = None
        self._ended = False

    def open(self) -> None:
        with self._lock, translated():
            if self._ended:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._require_room(0)
            self._file = self._create(self._path)

    def write(self, block: list[bytes]) -> None:
        with self._lock:
            if self._file is not None:
                self._append(self._file, block)

    def seal(self, block: list[bytes]) -> None:
        """Write the last block and make the file durable, without publishing it."""
        with self._lock:
            if self._file is not None:
                self._seal(self._file, block)

    def finish(self, block: list[bytes]) -> str:
        """Make the object appear at its place; returns its SHA-256 in hex."""
        with self._lock:
            if self._file is not None:
                self._seal(self._file, block)
                with translated():
                    self._publish()
            return self._sha256.hexdigest()

    def abort(self, block: list[bytes]) -> None:  # noqa: ARG002 - nothing of a failed write is kept
        with self._lock:
            if self._file is not None:
                with suppress(OSError):  # what could not be flushed is thrown away anyhow
                    self._file.close()
                self._file = None
            if not self._ended:
                self._ended = True
                with suppress(OSError):  # `purge_unfinished` tries again
                    self._path.unlink(missing_ok=True)

    def _seal(self, file: io.RawIOBase, block: list[bytes]) -> None:
        self._append(file, block)
        with translated():
            os.fsync(file.fileno())
            file.close()
        self._file = None

    def _publish(self) -> None:
        _replace(self._path, self._target)
        self._ended = True
        for folder in self._target.parents:
            # Not there any more: the object, and with it the folder, was deleted in this very moment.
            with suppress(FileNotFoundError):
                _fsync_folder(folder)
            if folder == self._root.parent:
                return

    def _append(self, file: io.RawIOBase, block: list[bytes]) -> None:
        with translated():
            self._require_room(sum(map(len, block)))
            for chunk in block:  # not joined: copying costs more than the calls
                self._sha256.update(chunk)
                rest = memoryview(chunk)
                while rest:
                    rest = rest[file.write(rest) or 0 :]
                self._written += len(chunk)
            self._start_writeback(file)

    def _start_writeback(self, file: io.RawIOBase) -> None:
        """Have the kernel begin now with what `seal` would wait for: it keeps a gigabyte in memory otherwise.

        Linux begins to write what it is told will not be needed; what is not yet on the disk stays in memory.
        """
        size = self._written - self._sent_to_disk
        if size >= _WRITEBACK_BYTES and hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # advice that is not taken costs nothing; what cannot be written, `seal` tells
                os.posix_fadvise(file.fileno(), self._sent_to_disk, size, os.POSIX_FADV_DONTNEED)
            self._sent_to_disk = self._written

    def _require_room(self, size: int) -> None:
        if self._free(self._path.parent) - size < self._min_free_bytes:
            raise StorageFull


def _replace(source: Path, target: Path) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        except (FileNotFoundError, FileExistsError):
            # A delete removed the folder, empty for a moment, between two of our steps.
            if attempt == _ATTEMPTS or not source.exists():
                raise
        else:
            return


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
