"""Reading from an S3 server: a range as a stream that is resumed, and an object as a file that can be sought in."""

import io
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Any, Protocol

from botocore.exceptions import ClientError

from vidintel.domain.errors import LeaseLost, StorageError
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreaker
from vidintel.infrastructure.storage.s3_calls import BROKEN_OFF, S3Client, code_of, guarded

# A segment's packets are read twice, to know its frames and to decode them: what is kept should hold it at usual rates.
# The figures that decided are in the ADR about S3.
_BLOCK_BYTES = 2 * 1024**2
_BLOCKS_KEPT = 12


class Download(Protocol):
    """The interface of `S3Download`."""

    @property
    def total(self) -> int: ...

    def read(self, size: int) -> bytes: ...

    def close(self) -> None: ...


class S3Download:
    """The bytes ``start <= i < end`` of an object. Blocking, called from threads, one at a time.

    After a broken connection it continues on a new one. ``total`` is the object's size, known after the first read.
    """

    def __init__(
        self, client: S3Client, breaker: CircuitBreaker, bucket: str, key: str, start: int, end: int | None
    ) -> None:
        self._client = client
        self._breaker = breaker
        self._where = {"Bucket": bucket, "Key": key}
        self._position = start
        self._end = end
        self._lock = Lock()
        self._body: Any = None
        self._closed = False
        self.total = 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end, or when it was closed meanwhile.

        Raises `StorageError` when there is no such object, and as `guarded` does.
        """
        with self._lock:
            if self._closed or (self._end is not None and self._position >= self._end):
                return b""
            with guarded(self._breaker):
                try:
                    block = self._read(size)
                except BROKEN_OFF:
                    self._drop()
                    block = self._read(size)
            self._position += len(block)
            return block

    def close(self) -> None:
        """Release the connection. Waits for a `read` that still runs in a thread."""
        with self._lock:
            self._closed = True
            self._drop()

    def _read(self, size: int) -> bytes:
        if self._body is None:
            last = "" if self._end is None else self._end - 1
            try:
                answer = self._client.get_object(**self._where, Range=f"bytes={self._position}-{last}")
            except ClientError as error:
                if code_of(error) == "InvalidRange":  # it begins after the end of the object
                    self._end = self._position
                    return b""
                raise
            self._body = answer["Body"]
            self.total = int(answer["ContentRange"].rpartition("/")[2])
        block: bytes = self._body.read(size)
        return block

    def _drop(self) -> None:
        if self._body is not None:
            with suppress(*BROKEN_OFF):
                self._body.close()
            self._body = None


class S3File(io.BufferedReader):
    """A seekable reader for decoders, which reads in blocks and keeps the last few of them.

    Decoders sometimes mistake an error of their file for the end of the video, and go on. So the first error is sticky:
    every later read raises it as well, and so does the end of the ``with`` block.
    """

    def __init__(self, blocks: "S3Blocks") -> None:
        super().__init__(blocks, buffer_size=1)
        self._blocks = blocks

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        failure = self._blocks.failure
        is_told = error is failure or (error is not None and not isinstance(error, Exception))
        if failure is not None and not is_told and not isinstance(error, LeaseLost):
            raise failure


class S3Blocks(io.RawIOBase):
    """The blocks of an object behind an `S3File`. ``new_download`` is given start and end of a range."""

    def __init__(
        self,
        new_download: Callable[[int, int], Download],
        *,
        block_bytes: int = _BLOCK_BYTES,
        blocks_kept: int = _BLOCKS_KEPT,
    ) -> None:
        """Reads the first block. Raises `StorageError` when there is no such object."""
        super().__init__()
        self._new_download = new_download
        self._block_bytes = block_bytes
        self._blocks_kept = blocks_kept
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self._size = 0
        self.failure: Exception | None = None
        self._block(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise ValueError("before the beginning")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = memoryview(buffer).cast("B")
        if self._position >= self._size or not wanted:
            return 0
        number, offset = divmod(self._position, self._block_bytes)
        part = memoryview(self._block(number))[offset : offset + len(wanted)]
        wanted[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _block(self, number: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        try:
            block = self._fetched(number)
        except Exception as error:
            self.failure = error
            raise
        self._blocks[number] = block
        if len(self._blocks) > self._blocks_kept:
            self._blocks.popitem(last=False)
        return block

    def _fetched(self, number: int) -> bytes:
        start = number * self._block_bytes
        download = self._new_download(start, start + self._block_bytes)
        try:
            block = download.read(self._block_bytes)
        finally:
            download.close()
        if number == 0:
            self._size = download.total
        if len(block) != min(self._block_bytes, self._size - start):
            raise StorageError("The object has changed while it was being read. Try again.")
        return block
