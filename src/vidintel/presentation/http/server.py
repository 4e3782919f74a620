"""The server's end: nobody who has connected, or is about to, goes without an answer."""

import asyncio
import os
import socket
from collections.abc import Callable

import structlog
import uvicorn
from fastapi import FastAPI

from vidintel.presentation.http.lifecycle import Lifecycle
from vidintel.presentation.http.protocol import BoundedHeadProtocol

_KEEP_ALIVE_S = 75
"""Longer than proxies keep a connection that nobody uses: who hangs up first must not be us."""

_LINGER_S = 1.0
_LOOK_EVERY_S = 0.05

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class DrainingServer(uvicorn.Server):
    """Serves ``app``. When it is to stop, it goes step by step:

    1. For ``drain_s`` seconds it is not ready and goes on as before, so that proxies turn to others; each answer is the
       last one on its connection.
    2. It takes no more connections. Those that were taken and have asked nothing yet get a moment to do so.
    3. What is under way has ``finish_s`` seconds.
    """

    def __init__(self, app: FastAPI, lifecycle: Lifecycle, *, drain_s: float, finish_s: float) -> None:
        # The access log is our own middleware's.
        super().__init__(
            uvicorn.Config(
                app,
                http=_closing_protocol(lifecycle),
                access_log=False,
                log_config=None,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=round(finish_s),
                server_header=False,
            )
        )
        self._lifecycle = lifecycle
        self._drain_s = drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _log.info("api.listening", pid=os.getpid())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once the main loop has ended; a second signal cuts it short."""
        _log.info("api.draining", pid=os.getpid(), drain_s=self._drain_s)
        self._lifecycle.drain()
        for connection in self.server_state.connections:
            if isinstance(connection, BoundedHeadProtocol):
                connection.answer_last()
        await self._wait(self._drain_s, lambda: False)
        for server in self.servers:
            server.close()
        if self._drain_s:
            await asyncio.sleep(_LOOK_EVERY_S)  # what was accepted a moment ago becomes a connection
            await self._wait(_LINGER_S, lambda: not self.server_state.connections)
        await super().shutdown(sockets)

    async def _wait(self, at_most_s: float, until: Callable[[], bool]) -> None:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + at_most_s
        while not (self.force_exit or until()) and clock.time() < deadline:  # noqa: ASYNC110 - uvicorn sets a flag
            await asyncio.sleep(_LOOK_EVERY_S)


def _closing_protocol(lifecycle: Lifecycle) -> type[BoundedHeadProtocol]:
    class ClosingProtocol(BoundedHeadProtocol):
        """Tells whoever asks while we are draining that there will be no other answer on this connection."""

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if lifecycle.is_draining:
                self.answer_last()

    return ClosingProtocol
