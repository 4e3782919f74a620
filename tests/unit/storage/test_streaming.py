"""Whatever ends a stream, the writer is told what was received and not written, in order and once."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.contracts.content import stream
from vidintel.domain.errors import PayloadTooLarge
from vidintel.infrastructure.storage.streaming import stream_into


class Recording:
    """A `BlockWriter` that keeps what it is given; its writes wait for ``may_write``, and fail with ``fault``."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.written: list[bytes] = []
        self.left: bytes | None = None
        self.may_write = threading.Event()
        self.may_write.set()
        self.is_writing = threading.Event()
        self._fault = fault

    def open(self) -> None: ...

    def write(self, block: list[bytes]) -> None:
        self.is_writing.set()
        self.may_write.wait(30)
        if self._fault is not None:
            raise self._fault
        self.written += block

    def finish(self, block: list[bytes]) -> str:
        self.written += block
        return "finished"

    def abort(self, block: list[bytes]) -> None:
        self.left = b"".join(block)

    @property
    def has_ended(self) -> bool:
        return self.left is not None


async def streamed(writer: Recording, chunks: AsyncIterator[bytes], *, max_bytes: int = 100) -> tuple[str, int]:
    return await stream_into(writer, chunks, executor=None, block_bytes=4, max_bytes=max_bytes, received=10)


async def test_everything_is_written_in_order_and_counted_from_what_was_there() -> None:
    writer = Recording()

    assert await streamed(writer, stream(b"ab", b"cde", b"fghi", b"j")) == ("finished", 20)
    assert b"".join(writer.written) == b"abcdefghij"
    assert writer.left is None


async def test_a_failing_source_hands_over_what_is_not_written_yet() -> None:
    writer = Recording()

    with pytest.raises(ConnectionResetError):
        await streamed(writer, stream(b"abcd", b"ef", then=ConnectionResetError()))

    assert (b"".join(writer.written), writer.left) == (b"abcd", b"ef")


async def test_too_much_ends_it_before_the_chunk_that_is_too_much() -> None:
    writer = Recording()

    with pytest.raises(PayloadTooLarge):
        await streamed(writer, stream(b"abcd", b"ef", b"g"), max_bytes=16)

    assert (b"".join(writer.written), writer.left) == (b"abcd", b"ef")


async def test_what_follows_a_block_that_could_not_be_written_is_not_handed_over() -> None:
    writer = Recording(OSError("broken"))

    with pytest.raises(OSError, match="broken"):
        await streamed(writer, stream(b"abcd", b"efgh", b"i"))

    assert (writer.written, writer.left) == ([], b"")


async def test_a_cancellation_waits_for_the_block_that_is_being_written() -> None:
    writer = Recording()
    writer.may_write.clear()
    task = asyncio.create_task(streamed(writer, stream(b"abcd", b"efgh", b"i")))
    await asyncio.to_thread(writer.is_writing.wait, 30)

    task.cancel()
    await asyncio.sleep(0)
    assert not writer.has_ended
    writer.may_write.set()
    with suppress(asyncio.CancelledError):
        await task

    assert (b"".join(writer.written), writer.left) == (b"abcd", b"efgh")
