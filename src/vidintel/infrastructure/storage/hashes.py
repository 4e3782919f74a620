"""SHA-256 over objects that are written in several calls, and of whole objects."""

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from threading import Lock
from typing import Protocol, Self

from vidintel.application.ports import UploadId
from vidintel.infrastructure.storage.streaming import in_thread

_UPLOADS_KEPT = 1024


class Sha256(Protocol):
    """What `hashlib.sha256` makes."""

    def update(self, data: bytes, /) -> None: ...

    def copy(self) -> Self: ...

    def hexdigest(self) -> str: ...


class UploadHashes:
    """The hash over the bytes of each of this process's latest uploads; thread-safe.

    The state of a hash cannot be stored, so it is lost with the process. ``version`` identifies the last commit: after
    an append by another process, the version differs and the kept hash is not used.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[UploadId, tuple[object, Sha256]] = OrderedDict()

    def get(self, upload: UploadId, version: object, size: int) -> Sha256 | None:
        """The hash over the ``size`` bytes that ``upload`` has in ``version``, to continue; ``None`` when not known."""
        if size == 0:
            return hashlib.sha256()
        with self._lock:
            kept = self._kept.get(upload)
            return kept[1].copy() if kept is not None and kept[0] == version else None

    def keep(self, upload: UploadId, version: object, sha256: Sha256 | None) -> None:
        """Remember ``sha256`` for ``upload`` in ``version``, and forget what was known before."""
        with self._lock:
            self._kept.pop(upload, None)
            if sha256 is not None:
                self._kept[upload] = version, sha256.copy()
                if len(self._kept) > _UPLOADS_KEPT:
                    self._kept.popitem(last=False)

    def forget(self, upload: UploadId) -> None:
        self.keep(upload, None, None)


async def hash_of(blocks: AsyncIterator[bytes], executor: Executor | None) -> tuple[str, int]:
    """The SHA-256 in hex of an object that is read for it, and its size. It is computed in threads of ``executor``."""
    sha256, size = hashlib.sha256(), 0
    async for block in blocks:
        await in_thread(executor, sha256.update, block)
        size += len(block)
    return sha256.hexdigest(), size
