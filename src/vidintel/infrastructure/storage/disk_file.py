"""Files on the local disk: written in blocks, hashed on the way, and published in one step."""

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vidintel.domain.errors import StorageError, StorageFull
from vidintel.infrastructure.storage.hashes import Sha256

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
    """The domain error for an error of the operating system. It leaves out the path, because clients see its text."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull from error
        raise StorageError(f"The storage failed: {error.strerror or type(error).__name__}.") from error


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Keeps ``min_free_bytes`` of the disk free, as measured by ``free``."""

    min_free_bytes: int
    free: Callable[[Path], int] = free_bytes

    def require(self, folder: Path, size: int) -> None:
        """Raises `StorageFull` when ``size`` bytes more in ``folder`` would be too many."""
        if self.free(folder) - size < self.min_free_bytes:
            raise StorageFull


class DiskFile:
    """An open file, written from ``position`` on. ``sha256``, if given, is updated with what is written."""

    def __init__(
        self, file: io.RawIOBase, folder: Path, space: DiskSpace, sha256: Sha256 | None, position: int
    ) -> None:
        self._file = file
        self._folder = folder
        self._space = space
        self.sha256 = sha256
        self.position = position
        self._sent_to_disk = position

    def append(self, block: list[bytes]) -> None:
        with translated():
            self._space.require(self._folder, sum(map(len, block)))
            for chunk in block:  # not joined: copying costs more than the calls
                if self.sha256 is not None:
                    self.sha256.update(chunk)
                rest = memoryview(chunk)
                while rest:
                    rest = rest[self._file.write(rest) or 0 :]
                self.position += len(chunk)
            self._start_writeback()

    def sync(self) -> None:
        """Make durable what was written."""
        with translated():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with translated():
            self._file.close()

    def _start_writeback(self) -> None:
        """Start writing to the disk now, so that `sync` waits less. Otherwise the kernel may buffer a gigabyte.

        Linux starts to write pages that are advised as not needed; pages that are not written yet stay in memory.
        """
        size = self.position - self._sent_to_disk
        if size >= _WRITEBACK_BYTES and hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # ignored advice costs nothing, and `sync` reports write errors
                os.posix_fadvise(self._file.fileno(), self._sent_to_disk, size, os.POSIX_FADV_DONTNEED)
            self._sent_to_disk = self.position


def publish(source: Path, target: Path, root: Path) -> None:
    """Move the durable file ``source`` to ``target``, a path below ``root``, in one step, and make that durable."""
    with translated():
        _replace(source, target)
        for folder in target.parents:
            # Not there any more: the object, and with it the folder, was deleted in this very moment.
            with suppress(FileNotFoundError):
                sync_folder(folder)
            if folder == root.parent:
                return


def sync_folder(folder: Path) -> None:
    """Make durable which files ``folder`` has. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
