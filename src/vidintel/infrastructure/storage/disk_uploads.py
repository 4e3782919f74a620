"""Uploads on the local disk: each has a folder with one file, whose name is the number of its committed bytes.

Further bytes in the file belong to an append that still runs or that failed. A commit makes the bytes durable and then
renames the file, which is atomic. A writer holds a lock on the file, which the system releases when the process ends.
The folder of a finished upload stays, empty, until it is purged.
"""

import fcntl
import io
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from uuid import uuid4

from vidintel.application.ports import UploadId
from vidintel.domain.errors import DomainError, StorageError, UploadInUse, UploadNotFound, UploadOffsetMismatch
from vidintel.infrastructure.storage.disk_file import DiskFile, DiskSpace, create_file, publish, sync_folder, translated
from vidintel.infrastructure.storage.hashes import Sha256, UploadHashes
from vidintel.infrastructure.storage.keys import new_upload_id, parts_of

CHECKPOINT_BYTES = 32 * 1024**2


class DiskUploads:
    """Keeps uploads in ``folder``, on the same file system as the objects below ``root``. Its methods block.

    ``discarded`` is a folder on the same file system for uploads that are being removed.
    """

    def __init__(self, root: Path, folder: Path, discarded: Path, space: DiskSpace) -> None:
        self._root = root
        self._folder = folder
        self._discarded = discarded
        self._space = space
        self._hashes = UploadHashes()

    def begin(self, key: str) -> UploadId:
        upload = new_upload_id(key)
        folder = self._folder_of(upload)
        with translated():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._space.require(self._folder, 0)
            folder.mkdir()
            create_file(folder / "0").close()
            for changed in (folder, self._folder, self._root):
                sync_folder(changed)
        return upload

    def appending(self, upload: UploadId, offset: int, *, atomic: bool) -> "DiskAppend":
        return DiskAppend(self._folder_of(upload), upload, offset, self._space, self._hashes, atomic)

    def offset(self, upload: UploadId) -> int | None:
        """Bytes that it holds; ``None`` when it is finished. Raises `UploadNotFound`."""
        return _committed(self._folder_of(upload))

    def finish(self, upload: UploadId) -> tuple[str, int] | None:
        """Publish the object; returns its SHA-256 and size, or ``None`` when the object has to be read for them."""
        folder = self._folder_of(upload)
        offset = _committed(folder)
        if offset is None:
            return None
        try:
            with _locked(folder, offset) as file:
                with translated():
                    file.truncate(offset)
                    os.fsync(file.fileno())
                publish(folder / str(offset), self._root / parts_of(upload)[1], self._root)
                with translated():
                    sync_folder(folder)
        except UploadOffsetMismatch as error:  # an append was committed in this very moment
            raise UploadInUse from error
        sha256 = self._hashes.get(upload, offset, offset)
        self._hashes.forget(upload)
        return None if sha256 is None else (sha256.hexdigest(), offset)

    def abort(self, upload: UploadId) -> None:
        self._hashes.forget(upload)
        with translated():
            self._discard(self._folder_of(upload))

    def purge(self, newest: float) -> int:
        """Remove uploads last changed at ``newest`` (a POSIX time) or before; returns how many were unfinished."""
        removed = 0
        with translated(), suppress(FileNotFoundError):
            for folder in self._folder.iterdir():
                with suppress(UploadNotFound, UploadInUse, UploadOffsetMismatch, FileNotFoundError):
                    removed += self._purged(folder, newest)
        return removed

    def _purged(self, folder: Path, newest: float) -> bool:
        offset = _committed(folder)
        changed = [folder, *folder.iterdir()]
        if max(path.stat().st_mtime for path in changed) > newest:
            return False
        if offset is None:
            self._discard(folder)
            return False
        with _locked(folder, offset):
            self._discard(folder)
        return True

    def _discard(self, folder: Path) -> None:
        """Remove ``folder``. It is moved first, because a folder without its file means a finished upload."""
        self._discarded.mkdir(parents=True, exist_ok=True)
        discarded = self._discarded / uuid4().hex
        with suppress(FileNotFoundError):
            folder.rename(discarded)
            shutil.rmtree(discarded)

    def _folder_of(self, upload: UploadId) -> Path:
        return self._folder / parts_of(upload)[0]


class _Checkpoint(NamedTuple):
    """The bytes before ``position``, with their hash, which count once ``synced`` is done."""

    position: int
    sha256: Sha256 | None
    synced: Future[None]


class DiskAppend:
    """A `BlockWriter` for one append; `finish` returns how many bytes the upload holds then."""

    def __init__(
        self, folder: Path, upload: UploadId, offset: int, space: DiskSpace, hashes: UploadHashes, atomic: bool
    ) -> None:
        self._folder = folder
        self._upload = upload
        self._offset = offset
        self._space = space
        self._hashes = hashes
        self._atomic = atomic
        self._lock = Lock()
        self._raw: io.FileIO | None = None
        self._file: DiskFile | None = None
        self._is_whole = True  # the file holds all that was given to `write`
        self._checkpoint: _Checkpoint | None = None
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._ended = False

    def open(self) -> None:
        with self._lock:
            if self._ended:
                return
            with translated():
                self._raw = raw = _open_locked(self._folder, self._offset)
                self._space.require(self._folder.parent, 0)
                raw.truncate(self._offset)
                raw.seek(self._offset)
            sha256 = self._hashes.get(self._upload, self._offset, self._offset)
            self._file = DiskFile(raw, self._folder.parent, self._space, sha256, self._offset)

    def write(self, block: list[bytes]) -> None:
        with self._lock:
            if self._file is not None:
                self._append(self._file, block)
                if not self._atomic:
                    self._make_checkpoint(self._file)

    def finish(self, block: list[bytes]) -> int:
        with self._lock:
            if self._file is not None:
                self._append(self._file, block)
                self._commit(self._file)
            self._close()
            return self._offset

    def abort(self, block: list[bytes]) -> None:
        """Commit the received bytes, or with ``atomic`` none. If the commit fails, earlier commits still hold."""
        with self._lock:
            if self._file is not None and not self._atomic:
                with suppress(DomainError):
                    if self._is_whole:
                        self._append(self._file, block)
                        self._commit(self._file)
                    else:
                        self._record_checkpoint()
            self._close()

    def _append(self, file: DiskFile, block: list[bytes]) -> None:
        self._is_whole = False
        file.append(block)
        self._is_whole = True

    def _make_checkpoint(self, file: DiskFile) -> None:
        """Commit every `CHECKPOINT_BYTES`. Another thread waits for the disk; at most as many are written meanwhile."""
        pending = self._checkpoint
        if pending is not None and (pending.synced.done() or file.position - pending.position >= CHECKPOINT_BYTES):
            self._record_checkpoint()
        if self._checkpoint is None and file.position - self._offset >= CHECKPOINT_BYTES:
            sha256 = None if file.sha256 is None else file.sha256.copy()
            self._checkpoint = _Checkpoint(file.position, sha256, self._syncing.submit(file.sync))

    def _record_checkpoint(self) -> None:
        if self._checkpoint is None:
            return
        was_whole, self._is_whole = self._is_whole, False
        self._checkpoint.synced.result()
        position, sha256, _ = self._checkpoint
        self._checkpoint = None
        self._record(position, sha256)
        self._is_whole = was_whole

    def _commit(self, file: DiskFile) -> None:
        if file.position == self._offset:
            return
        self._is_whole = False
        if self._checkpoint is not None:
            self._checkpoint.synced.result()  # the system reports a fault once
        file.sync()
        self._record(file.position, file.sha256)
        self._is_whole = True

    def _record(self, position: int, sha256: Sha256 | None) -> None:
        """Commit the bytes before ``position``, which are durable."""
        with translated():
            try:
                (self._folder / str(self._offset)).rename(self._folder / str(position))
                sync_folder(self._folder)
            except FileNotFoundError as error:  # aborted or purged meanwhile
                raise UploadNotFound from error
        self._offset = position
        self._hashes.keep(self._upload, position, sha256)

    def _close(self) -> None:
        self._ended = True
        self._syncing.shutdown()
        if self._raw is not None:
            with suppress(OSError):  # what counts is durable already
                _release(self._raw)
        self._raw = self._file = None


def _committed(folder: Path) -> int | None:
    """How many bytes of the upload in ``folder`` count; ``None`` when it is finished. Raises `UploadNotFound`."""
    with translated():
        try:
            return max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=None)
        except FileNotFoundError as error:
            raise UploadNotFound from error


@contextmanager
def _locked(folder: Path, offset: int) -> Iterator[io.FileIO]:
    with translated():
        file = _open_locked(folder, offset)
    try:
        yield file
    finally:
        _release(file)


def _release(file: io.FileIO) -> None:
    # Closing would leave the lock to a process that was forked meanwhile and has not closed its copy yet.
    fcntl.flock(file, fcntl.LOCK_UN)
    file.close()


def _open_locked(folder: Path, offset: int) -> io.FileIO:
    """The file of the upload in ``folder``, locked against other writers.

    Raises `UploadInUse`, `UploadOffsetMismatch`, `UploadNotFound`, and `OSError`.
    """
    path = folder / str(offset)
    try:
        file = path.open("r+b", buffering=0)
    except FileNotFoundError as error:
        raise _mismatch(folder, offset) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        state = os.fstat(file.fileno())
        if not _is_at(path, state):  # between opening and locking, another append was committed, and renamed it
            raise _mismatch(folder, offset)
        if state.st_size < offset:
            raise StorageError("The storage lost bytes of this upload. Start a new one.")
    except BlockingIOError as error:
        file.close()
        raise UploadInUse from error
    except BaseException:
        file.close()
        raise
    return file


def _is_at(path: Path, state: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), state)
    except FileNotFoundError:
        return False


def _mismatch(folder: Path, given: int) -> DomainError:
    current = _committed(folder)
    return UploadNotFound() if current is None else UploadOffsetMismatch(given, current)
