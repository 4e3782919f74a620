"""Streaming an object to a blocking writer: one block is received while the one before it is written in a thread."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import ParamSpec, Protocol, TypeVar

from vidintel.domain.errors import PayloadTooLarge

P = ParamSpec("P")
T = TypeVar("T")
Written = TypeVar("Written", covariant=True)


class BlockWriter(Protocol[Written]):
    """What `stream_into` writes to. Every method blocks and is called from a thread.

    A method may start while another one still runs, because a thread cannot be interrupted when the task that waits
    for it is cancelled. An implementation therefore serialises its methods with a lock. After `finish` or `abort` has
    run, every further call must do nothing.
    """

    def open(self) -> None:
        """Called once, before anything is received."""
        ...

    def write(self, block: list[bytes]) -> None:
        """Write the next block, given as the chunks that it consists of."""
        ...

    def finish(self, block: list[bytes]) -> Written:
        """Write the last block, which may be small or empty, and end."""
        ...

    def abort(self, block: list[bytes]) -> None:
        """End after a failure. ``block`` was received but not written; everything before it was given to `write`."""
        ...


def in_thread(
    executor: Executor | None, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs
) -> asyncio.Future[T]:
    """Call ``function`` in a thread of ``executor`` (default: the event loop's), in the context of the caller.

    The context makes log lines name the request that caused them.
    """

    def call() -> T:
        return context.run(function, *arguments, **named)

    context = copy_context()
    return asyncio.get_running_loop().run_in_executor(executor, call)


async def stream_into(
    writer: BlockWriter[T],
    chunks: AsyncIterator[bytes],
    *,
    executor: Executor | None,
    block_bytes: int,
    max_bytes: int,
    received: int = 0,
) -> tuple[T, int]:
    """Write ``chunks`` in blocks of at least ``block_bytes``; returns the answer of `BlockWriter.finish` and the size.

    The size counts from ``received``, the bytes that were there before. Raises `PayloadTooLarge` when it would exceed
    ``max_bytes``. After any exception, a cancellation included, `BlockWriter.abort` has been called.
    Memory use is two blocks, each up to one chunk larger than ``block_bytes``.
    """
    total = received
    block: list[bytes] = []
    held = 0
    behind: asyncio.Future[None] | None = None  # the block being written while the next one is received

    async def end() -> None:
        if behind is not None:
            await asyncio.wait({behind})
            if behind.cancelled() or behind.exception() is not None:
                block.clear()  # it does not follow on what was written
        await in_thread(executor, writer.abort, block)

    try:
        await in_thread(executor, writer.open)
        async for chunk in chunks:
            if total + len(chunk) > max_bytes:
                raise PayloadTooLarge(max_bytes)
            total += len(chunk)
            held += len(chunk)
            block.append(chunk)
            if held >= block_bytes:
                if behind is not None:
                    await asyncio.shield(behind)
                behind = in_thread(executor, writer.write, block)
                block, held = [], 0
        if behind is not None:
            await asyncio.shield(behind)
        return await in_thread(executor, writer.finish, block), total
    except BaseException:
        await asyncio.shield(end())
        raise
