"""Where the bytes lie."""

from collections.abc import AsyncIterator
from typing import BinaryIO, Protocol

from vidintel.domain.video import StoredContent


class ObjectStorage(Protocol):
    """Keeps the bytes. Keys are made by the server (``videos/<uuid>/source-<hex>``), never from what a client sent.

    Whatever it is asked, it raises `StorageUnavailable` while it is down.
    """

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        """Stream ``chunks`` to ``key``; it appears whole or not at all, replacing what was there.

        Raises `PayloadTooLarge` past ``max_bytes``, `StorageFull` without room, `StorageError` for other faults.
        An exception from ``chunks`` passes through. In each case nothing stays behind.
        """
        ...

    async def size(self, key: str) -> int | None:
        """Bytes under ``key``; ``None`` when there is no such object."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes ``start <= i < end``. Raises `StorageError` when there is no such object."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A seekable, blocking reader, for decoders in worker threads. Raises `StorageError`.

        Use it in a ``with`` block: a decoder may take an outage for the end of the video, the block tells it.
        """
        ...

    async def link(self, key: str, *, media_type: str, file_name: str) -> str | None:
        """A URL at which whoever has it can read ``key`` for a while, answered as of ``media_type`` and named so.

        ``None`` when there are no such links here, and the bytes are to be had from `read`.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove ``key``; one that is not there is no error."""
        ...

    async def purge_unfinished(self, older_than_s: float) -> int:
        """Remove what writes that died left behind longer than ``older_than_s`` ago; returns how many."""
        ...

    async def check(self) -> None:
        """Raise `StorageError`, or `StorageFull`, unless objects can be written now, as far as that can be told."""
        ...

    def close(self) -> None:
        """Finish what runs, and give threads and connections back. Nothing is asked of it afterwards."""
        ...
