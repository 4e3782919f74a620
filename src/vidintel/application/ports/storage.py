"""The object storage, which keeps videos and pictures."""

from collections.abc import AsyncIterator
from typing import BinaryIO, NewType, Protocol

from vidintel.domain.video import StoredContent

UploadId = NewType("UploadId", str)
"""Names an upload: ``<uuid hex>/<key>``."""


class ObjectStorage(Protocol):
    """Stores objects by key. The server makes the keys (``videos/<uuid>/source-<hex>``), never from client input.

    Every method raises `StorageUnavailable` while the storage is down.
    """

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        """Stream ``chunks`` to ``key``. The object appears complete or not at all, and replaces an existing one.

        Raises `PayloadTooLarge` past ``max_bytes``, `StorageFull` when there is no room, `StorageError` for other
        faults. An exception from ``chunks`` passes through. After any of these, nothing of the object is stored.
        """
        ...

    async def begin_upload(self, key: str) -> UploadId:
        """Start an upload: an object that is written in several calls, by any number of processes one after the other.

        `finish_upload` makes the object appear at ``key``, replacing an existing one. `abort_upload` discards the
        upload. `purge_unfinished` removes abandoned uploads.
        """
        ...

    async def append(
        self, upload: UploadId, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int, atomic: bool = False
    ) -> int:
        """Append ``chunks`` to the ``offset`` bytes that the upload holds; returns how many it durably holds then.

        An exception from ``chunks``, and a cancellation, pass through; what was received before is kept. A fault of the
        storage, or the death of the process, loses at most what was received since the last checkpoint. A checkpoint is
        started every 32 MiB. With ``atomic``, either all of ``chunks`` is kept or nothing of it.

        Raises `UploadOffsetMismatch` when the upload holds another number of bytes, `UploadInUse` when another call
        writes to it, `UploadNotFound` when it has ended, `PayloadTooLarge` when the object would exceed ``max_bytes``,
        and as `put` does. S3 notices another writer only before each part and each commit, so callers make sure by a
        lease or a lock that an upload has one writer at a time.
        """
        ...

    async def upload_offset(self, upload: UploadId) -> int:
        """Bytes that the upload durably holds: where the next `append` continues.

        For a finished upload this is the object's size, so that a caller that died while finishing can repeat it.
        Raises `UploadNotFound` when the upload was aborted or removed.
        """
        ...

    async def finish_upload(self, upload: UploadId) -> StoredContent:
        """Make the object appear, with all bytes that the upload holds. It may be repeated.

        The SHA-256 costs nothing extra where all bytes were appended through this process, as long as the upload is
        among its latest 1,024. Else the object is read once to compute it.
        Raises `UploadNotFound` when the upload was aborted or removed, and `UploadInUse` when an `append` that runs is
        noticed.
        """
        ...

    async def abort_upload(self, upload: UploadId) -> None:
        """Discard what the upload holds. An upload that has ended is no error; a finished object stays."""
        ...

    async def size(self, key: str) -> int | None:
        """Bytes under ``key``; ``None`` when there is no such object."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes ``start <= i < end``. Raises `StorageError` when there is no such object."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A seekable, blocking reader, for decoders in worker threads. Raises `StorageError`.

        Use it in a ``with`` block. A decoder may mistake an outage for the end of the video; the block then raises.
        """
        ...

    async def link(self, key: str, *, media_type: str, file_name: str) -> str | None:
        """A temporary URL for reading ``key`` without credentials, served with ``media_type`` and the given file name.

        ``None`` when this storage has no such links; then use `read`.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove ``key``. A missing object is no error."""
        ...

    async def purge_unfinished(self, older_than_s: float) -> int:
        """Remove unfinished writes and uploads that did not grow for ``older_than_s`` seconds; returns how many."""
        ...

    async def check(self) -> None:
        """Raise `StorageError` or `StorageFull` when the storage cannot write objects now, as far as it can tell."""
        ...

    def close(self) -> None:
        """Finish running calls, and release threads and connections. No method may be called afterwards."""
        ...
