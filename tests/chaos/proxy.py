"""A proxy that makes a network slow."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

_BLOCK = 65_536


class SlowProxy:
    """Passes what comes to ``port`` on loopback on to ``target``, a port or a Unix socket, ``delay_s`` later."""

    def __init__(self, name: str, target: int | str) -> None:
        self.name = name
        self.delay_s = 0.0
        self.port = 0
        self._target = target
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()

    def forget(self) -> None:
        """Swallow what the connections that are there still say, as firewalls do with those that were idle for long."""
        self._forgotten |= self._writers

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self._target, int):
                there = await asyncio.open_connection("127.0.0.1", self._target)
            else:
                there = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        self._writers |= {there[1], writer}
        for pair in ((reader, there[1]), (there[0], writer)):
            pump = asyncio.create_task(self._pump(*pair))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while block := await reader.read(_BLOCK):
                    if writer in self._forgotten:
                        continue
                    if self.delay_s:
                        await asyncio.sleep(self.delay_s)
                    writer.write(block)
                    await writer.drain()
        finally:
            writer.close()
