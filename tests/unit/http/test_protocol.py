"""What may come before a body, and after an answer, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from vidintel.presentation.http.protocol import MAX_HEAD_BYTES, MAX_UNREAD_BYTES, BoundedHeadProtocol

_GET = b"GET / HTTP/1.1\r\nHost: here\r\n"
_MORE = b"a" * 64 * 1024
_PATIENCE_S = 10


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers and leaves the body unread."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def connected(app: ASGIApp = _app) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(app, http=BoundedHeadProtocol, lifespan="off", log_config=None, loop="asyncio")
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedHeadProtocol(config, state, {}), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()


async def _is_open_after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> bool:
    """Whether the server has read ``size`` more bytes. It has not when it closed the connection before."""
    try:
        for _ in range(size // len(_MORE)):
            writer.write(_MORE)
            await writer.drain()
        await asyncio.wait_for(reader.read(), _PATIENCE_S)
    except ConnectionError:
        return False
    except TimeoutError:
        return True
    return False


async def answered(sent: asyncio.StreamWriter, reader: asyncio.StreamReader, *pieces: bytes) -> bytes:
    for piece in pieces:
        sent.write(piece)
        await sent.drain()
        await asyncio.sleep(0)
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)


@pytest.mark.parametrize(
    "begun",
    [b"GET /", _GET + b"X: ", b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "],
    ids=["request line", "header", "trailer"],
)
async def test_a_head_without_end_is_refused_before_it_fills_the_memory(begun: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(begun)
        assert not await _is_open_after(reader, writer, 64 * MAX_HEAD_BYTES)


async def test_a_usual_head_is_read_and_a_body_is_not_counted() -> None:
    async with connected() as (reader, writer):
        for _ in range(2):
            size = 4 * MAX_HEAD_BYTES
            post = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % size
            head = await answered(writer, reader, post, *[b"b" * 8192] * (size // 8192))
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(6) == str(size).encode()


async def test_many_requests_on_one_connection_do_not_add_up() -> None:
    async with connected() as (reader, writer):
        for _ in range(3):
            head = await answered(writer, reader, _GET + b"X: " + b"a" * (MAX_HEAD_BYTES // 2) + b"\r\n", b"\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(1) == b"0"


def _post(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % size


async def test_what_is_left_of_a_refused_body_is_discarded_and_the_connection_stays() -> None:
    async with connected(_refusing) as (reader, writer):
        for _ in range(3):
            size = MAX_UNREAD_BYTES // 2
            head = await answered(writer, reader, _post(size), *[_MORE] * (size // len(_MORE)))
            assert head.startswith(b"HTTP/1.1 413")


async def test_a_refused_body_without_end_is_not_read_for_ever() -> None:
    async with connected(_refusing) as (reader, writer):
        head = await answered(writer, reader, _post(2**60))
        assert head.startswith(b"HTTP/1.1 413")
        assert not await _is_open_after(reader, writer, 4 * MAX_UNREAD_BYTES)
