"""The bare connection to Redis: one round trip, no reply to the wrong question, and no wait for a dead server."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import RedisError, ResponseError

from tests.support.redis_server import RedisServer
from vidintel.infrastructure.cache.redis_connection import RedisConnection


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


async def test_replies_come_in_the_order_of_their_commands(connection: RedisConnection) -> None:
    assert await connection.ask(["SET", "a", "1"], ["SET", "b", "ä"]) == [b"OK", b"OK"]
    assert await connection.ask(["MGET", "a", "b", "c"]) == [[b"1", "ä".encode(), None]]


async def test_strings_are_bytes_whatever_the_url_says(redis_url: str) -> None:
    connection = RedisConnection(f"{redis_url}?decode_responses=true")
    assert await connection.ask(["SET", "a", "1"], ["GET", "a"]) == [b"OK", b"1"]
    await connection.close()


async def test_replies_behind_a_refused_command_answer_no_later_one(connection: RedisConnection) -> None:
    with pytest.raises(ResponseError):
        await connection.ask(["NO-SUCH-COMMAND"], ["SET", "a", "1"], ["GET", "a"])

    assert await connection.ask(["ECHO", "next"]) == [b"next"]


async def test_a_reply_that_nobody_waited_for_answers_no_later_command(connection: RedisConnection) -> None:
    await connection.ask(["ECHO", "connected"])
    asking = asyncio.create_task(connection.ask(["BLPOP", "empty", "30"]))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert await connection.ask(["ECHO", "next"]) == [b"next"]


async def test_a_restarted_server_goes_unnoticed(redis_server: RedisServer) -> None:
    connection = RedisConnection(redis_server.url)
    await connection.ask(["SET", "a", "1"])
    redis_server.kill()
    redis_server.start()

    assert await connection.ask(["GET", "a"]) == [b"1"]
    await connection.close()


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, nobody reads
        connection = RedisConnection(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        with pytest.raises((RedisError, OSError)):
            await connection.ask(["GET", "a"])
        await connection.close()


async def test_no_server_is_an_error() -> None:
    connection = RedisConnection("redis://127.0.0.1:1/0")
    with pytest.raises((RedisError, OSError)):
        await connection.ask(["GET", "a"])
    await connection.close()
