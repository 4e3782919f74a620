"""Writing one object to the local disk: to a temporary file, made durable, then moved to its place in one step."""

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from vidintel.domain.errors import DomainError
from vidintel.infrastructure.storage.disk_file import DiskFile, DiskSpace, publish, translated


class DiskWrite:
    """A `BlockWriter` for one object: writes ``path``, then moves it to ``target``, a path below ``root``."""

    def __init__(
        self, path: Path, target: Path, root: Path, space: DiskSpace, create: Callable[[Path], io.RawIOBase]
    ) -> None:
        self._path = path
        self._target = target
        self._root = root
        self._space = space
        self._create = create
        self._lock = Lock()
        self._sha256 = hashlib.sha256()
        self._file: DiskFile | None = None
        self._ended = False

    def open(self) -> None:
        with self._lock, translated():
            if self._ended:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._space.require(self._path.parent, 0)
            self._file = DiskFile(self._create(self._path), self._path.parent, self._space, self._sha256, 0)

    def write(self, block: list[bytes]) -> None:
        with self._lock:
            if self._file is not None:
                self._file.append(block)

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
                publish(self._path, self._target, self._root)
                self._ended = True
            return self._sha256.hexdigest()

    def abort(self, block: list[bytes]) -> None:  # noqa: ARG002 - nothing of a failed write is kept
        with self._lock:
            if self._file is not None:
                with suppress(DomainError):  # unflushed bytes are discarded in any case
                    self._file.close()
                self._file = None
            if not self._ended:
                self._ended = True
                with suppress(OSError):  # `purge_unfinished` tries again
                    self._path.unlink(missing_ok=True)

    def _seal(self, file: DiskFile, block: list[bytes]) -> None:
        file.append(block)
        file.sync()
        file.close()
        self._file = None
