"""`SubprocessFrameRenderer`: pictures for the API, decoded in a child process that a hostile file may kill."""

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import BinaryIO

import structlog

from vidintel.domain.errors import (
    DomainError,
    FrameNotFound,
    ServiceUnavailable,
    StorageError,
    StorageUnavailable,
    UnreadableVideo,
)
from vidintel.domain.tracking import TrackedFrame

_log = structlog.get_logger(__name__)
Opener = Callable[[str], BinaryIO]
_Maker = Callable[[BinaryIO, float, TrackedFrame | None], bytes]


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """The limits of one picture: seconds of waiting (and of processor time), and bytes of address space.

    ``waiting`` is the largest number of concurrent requests.
    """

    time_s: float = 20.0
    memory_bytes: int = 6 * 1024**3
    waiting: int = 16


@dataclass(frozen=True, slots=True)
class _Request:
    key: str
    time_s: float
    seen: TrackedFrame | None


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An error that the child sends to the parent: its kind and its detail."""

    kind: type[FrameNotFound | UnreadableVideo | StorageError | StorageUnavailable]
    detail: str


class _ChildDied(Exception):
    """The child ended while it made a picture."""


class SubprocessFrameRenderer:
    """Implements `FrameRenderer` with one child process, started when first needed and again whenever it died.

    ``opener`` opens stored content by its key; it is pickled and runs in the child. Pictures are made one at a time,
    and only ``limits.waiting`` requests may wait. A child that exceeds ``limits`` is killed, and its picture fails with
    `UnreadableVideo`. After any other death of the child, the picture is tried once more in a second child.
    """

    def __init__(self, opener: Opener, limits: RenderLimits | None = None) -> None:
        self._opener = opener
        self._limits = limits or RenderLimits()
        self._child: tuple[BaseProcess, Connection] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="renderer")
        self._waiting = 0

    def start(self) -> None:
        """Start the child now, without waiting for it, so that the first picture does not wait for its imports."""
        self._thread.submit(self._running_child)

    async def jpeg(self, key: str, time_s: float, seen: TrackedFrame | None) -> bytes:
        """See `FrameRenderer.jpeg`. Raises also `StorageError`, when the content cannot be read,
        `StorageUnavailable`, when the storage is down, and `ServiceUnavailable`, when too many pictures wait already.
        """
        if self._waiting >= self._limits.waiting:
            raise ServiceUnavailable(
                "Too many pictures are being made at once. Try again in a moment.", retry_after_s=2
            )
        request = _Request(key, time_s, seen)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._render, request)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish the current picture, drop the waiting requests, and stop the child for good."""
        self._thread.shutdown(cancel_futures=True)
        self._stop()

    def _render(self, request: _Request) -> bytes:
        try:
            answer = self._ask(request)
        except _ChildDied:
            # The cause may lie outside this video, such as the memory used for another picture.
            try:
                answer = self._ask(request)
            except _ChildDied as error:
                raise UnreadableVideo(
                    "The picture could not be made: the decoder crashed or ran out of memory."
                ) from error
        if isinstance(answer, _Refusal):
            raise answer.kind(answer.detail)
        return answer

    def _ask(self, request: _Request) -> bytes | _Refusal:
        process, connection = self._running_child()
        try:
            connection.send(request)
            if connection.poll(self._limits.time_s):
                answer: bytes | _Refusal = connection.recv()
                return answer
        except (EOFError, OSError) as error:
            self._stop()
            _log.warning("renderer.died", key=request.key, exit_code=process.exitcode)
            raise _ChildDied from error
        self._stop()
        _log.warning("renderer.killed", key=request.key, after_s=self._limits.time_s)
        raise UnreadableVideo("The picture could not be made within the time limit.")

    def _running_child(self) -> tuple[BaseProcess, Connection]:
        if self._child is not None and self._child[0].is_alive():
            return self._child
        self._stop()
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._opener, self._limits), daemon=True)
        process.start()
        theirs.close()
        self._child = process, ours
        return self._child

    def _stop(self) -> None:
        if self._child is not None:
            process, connection = self._child
            self._child = None
            connection.close()
            process.kill()
            process.join()


def _serve(connection: Connection, opener: Opener, limits: RenderLimits) -> None:
    """The main loop of the child: serves requests until the parent closes its end of the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent stops the child
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    make = _maker()
    try:
        while True:
            request = connection.recv()
            _limit_processor_time(limits.time_s)
            connection.send(_answer(make, opener, request))
    except (EOFError, ConnectionError):
        return


def _maker() -> _Maker:
    # Imported only in the child, so that the API process, which imports this module, never loads a decoder.
    from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
    from vidintel.infrastructure.media.drawing import draw_detections, encode_jpeg

    decoder = PyAvVideoDecoder()

    def make(content: BinaryIO, time_s: float, seen: TrackedFrame | None) -> bytes:
        image = decoder.picture_at(content, time_s)
        return encode_jpeg(image if seen is None else draw_detections(image, seen))

    return make


def _answer(make: _Maker, opener: Opener, request: _Request) -> bytes | _Refusal:
    try:
        with opener(request.key) as content:
            return make(content, request.time_s, request.seen)
    except FrameNotFound as error:
        return _Refusal(FrameNotFound, error.detail)
    except StorageError as error:
        return _Refusal(StorageError, error.detail)
    except StorageUnavailable as error:
        return _Refusal(StorageUnavailable, error.detail)
    except DomainError as error:
        return _Refusal(UnreadableVideo, error.detail)
    except MemoryError:
        return _Refusal(UnreadableVideo, "The picture could not be made: it needs too much memory.")


def _limit_processor_time(seconds: float) -> None:
    """From now on, so that a child which is busy when its parent dies ends as well."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = used.ru_utime + used.ru_stime + seconds * (os.cpu_count() or 1)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(allowed) + 1, hard))
