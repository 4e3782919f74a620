"""A connection to Redis with as little as possible around each command."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

_TIMEOUT_S = 0.5


class RedisConnection:
    """Connects to ``url`` when it is first used, and again when the server has closed the connection.

    redis-py's client takes a connection from a pool and sets two time limits for each command, which costs more than
    the command. Here one time limit holds for everything. Not to be used by two at a time.
    """

    def __init__(self, url: str) -> None:
        pool = ConnectionPool.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=_TIMEOUT_S
        )
        self._connection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py left it untyped

    async def ask(self, *commands: Sequence[Any]) -> list[Any]:
        """Send the commands in one round trip. Returns their replies, with strings as bytes.

        The commands must be ones that may run twice. Raises `RedisError` or `OSError` if a command is refused or Redis
        does not answer in half a second.
        """
        async with asyncio.timeout(_TIMEOUT_S):
            try:
                return await self._send(commands)
            except (RedisConnectionError, OSError):
                return await self._send(commands)  # the server may have been restarted since the last command

    async def close(self) -> None:
        """Close the connection. The next command opens it again."""
        await self._connection.disconnect()

    async def _send(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        try:
            await self._connection.send_packed_command(self._connection.pack_commands(commands))
            return [await self._connection.read_response(disable_decoding=True) for _ in commands]
        except BaseException:
            await self._connection.disconnect(
                nowait=True
            )  # replies that were not read must not answer the next command
            raise
