"""A server that goes away: what is asked of it fails fast, nothing is lost, and all goes on when it is back."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

import pytest

from tests.contracts.content import KEY, NO_LIMIT, content_of, stream
from tests.integration.storage.conftest import CoolDown, NewStorage, until_it_works
from tests.support.s3_server import S3Server
from tests.support.scripted_media import ScriptedMedia
from tests.unit.application.world import World, error_of
from vidintel.application.jobs.work import PLAN, SEGMENT
from vidintel.application.ports import Frame
from vidintel.domain.analysis import JobStatus
from vidintel.domain.errors import StorageUnavailable
from vidintel.domain.segment import SegmentSpan
from vidintel.domain.video import MediaWarning
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.s3 import S3ObjectStorage
from vidintel.settings.model import S3Settings

MIB = 1024**2
PATIENCE_S = 60.0


async def test_a_dead_server_opens_the_circuit_and_a_living_one_closes_it(
    mortal: S3ObjectStorage, s3_server: S3Server, circuits: CircuitBreakers, cool_down: CoolDown
) -> None:
    seen: list[tuple[str, str]] = []
    circuits.add_listener(lambda name, state: seen.append((name, state)))
    await mortal.put(KEY, stream(b"kept"), max_bytes=NO_LIMIT)
    s3_server.kill()

    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await content_of(mortal)
    assert circuits.states() == {"s3": "open"}
    with pytest.raises(StorageUnavailable) as refused:
        await content_of(mortal)
    assert "CircuitOpen" in repr(refused.value.__cause__)
    assert refused.value.retry_after_s > 5.0

    s3_server.start()
    await until_it_works(mortal, cool_down)

    assert circuits.states() == {"s3": "closed"}
    assert await content_of(mortal) == b"kept"
    assert seen[0] == ("s3", "open")
    assert seen[-2:] == [("s3", "half-open"), ("s3", "closed")]


async def test_a_server_that_does_not_answer_is_not_waited_for(
    new_storage: NewStorage, s3_settings: S3Settings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        impatient = {"endpoint_url": url, "attempts": 1, "read_timeout_s": 0.1}
        storage = new_storage(s3_settings.model_copy(update=impatient))

        with pytest.raises(StorageUnavailable):
            await storage.size(KEY)


async def test_nobody_is_sent_to_a_server_that_is_down(new_storage: NewStorage, s3_settings: S3Settings) -> None:
    down = {"content": "redirect", "endpoint_url": "http://127.0.0.1:1", "attempts": 1}
    storage = new_storage(s3_settings.model_copy(update=down))
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await storage.size(KEY)

    with pytest.raises(StorageUnavailable):
        await storage.link(KEY, media_type="video/mp4", file_name="clip.mp4")


async def test_an_upload_during_an_outage_is_refused_and_leaves_nothing(
    mortal: S3ObjectStorage, s3_server: S3Server, cool_down: CoolDown
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(9 * MIB)
        yield bytes(9 * MIB)  # taken once the first part is there
        s3_server.kill()
        yield bytes(9 * MIB)

    with pytest.raises(StorageUnavailable):
        await mortal.put(KEY, chunks(), max_bytes=NO_LIMIT)

    s3_server.start()
    await until_it_works(mortal, cool_down)
    assert await mortal.size(KEY) is None
    assert await mortal.purge_unfinished(older_than_s=-60) == 1


async def test_reading_goes_on_where_a_connection_broke_off(new_storage: NewStorage, s3_settings: S3Settings) -> None:
    content = bytes(index % 251 for index in range(3 * MIB))
    await new_storage(s3_settings).put(KEY, stream(content), max_bytes=NO_LIMIT)
    assert s3_settings.endpoint_url is not None

    with Cutting(s3_settings.endpoint_url, after_bytes=MIB + MIB // 2) as proxy:
        storage = new_storage(s3_settings.model_copy(update={"endpoint_url": proxy.url}))
        assert await content_of(storage) == content
        assert proxy.cuts == 1


class Frames(ScriptedMedia):
    """A decoder whose frames lie in the last bytes of the video; ``between`` is called after the first."""

    def __init__(self, between: Callable[[], None]) -> None:
        super().__init__()
        self._between = between

    def frames(
        self,
        content: BinaryIO,
        span: SegmentSpan,
        *,
        sample_fps: float | None,
        warn: Callable[[MediaWarning], None] | None = None,
        heartbeat: Callable[[], None] | None = None,
    ) -> Iterator[Frame]:
        for number, frame in enumerate(super().frames(content, span, sample_fps=sample_fps, warn=warn)):
            if number == 1:
                self._between()
                # As decoders do: what cannot be read is the end of the video.
                content.seek(-1, 2)
                try:
                    content.read(1)
                except StorageUnavailable:
                    return
            yield frame


async def test_a_segment_that_loses_its_storage_costs_no_attempt_and_is_done_when_it_is_back(
    mortal: S3ObjectStorage, s3_server: S3Server, cool_down: CoolDown
) -> None:
    once: list[Callable[[], None]] = [s3_server.kill]
    world = World(storage=mortal, media=Frames(lambda: once.pop()() if once else None))  # type: ignore[arg-type]  # any port
    job = await world.planned()
    await mortal.put((await world.video(job)).content.key, stream(bytes(5 * MIB)), max_bytes=NO_LIMIT)  # type: ignore[union-attr]  # it was sent
    segment = (await world.segments())[0]

    assert isinstance(error_of(await world.run(segment)), StorageUnavailable)

    waiting = world.work_of(world.item(SEGMENT, segment.id))
    assert (waiting.attempts, waiting.is_held) == (0, False)
    assert await world.detections(job) == []
    for _ in range(10):  # far more often than it may be tried
        world.clock.advance(60)
        assert isinstance(error_of(await world.run(segment)), StorageUnavailable)
    assert (await world.job(job)).status is JobStatus.RUNNING

    s3_server.start()
    await until_it_works(mortal, cool_down)
    world.clock.advance(7200)  # the circuit was to stay open for an hour
    await world.work_off()

    assert (await world.job(job)).status is JobStatus.SUCCEEDED
    assert len(await world.detections(job)) == 10


async def test_a_plan_that_loses_its_storage_costs_no_attempt(mortal: S3ObjectStorage, s3_server: S3Server) -> None:
    world = World(storage=mortal)  # type: ignore[arg-type]  # any port
    job = (await world.registered()).job.job
    s3_server.kill()

    assert isinstance(error_of(await world.plan(job)), StorageUnavailable)

    waiting = world.work_of(world.item(PLAN, job.id))
    assert (waiting.attempts, waiting.is_held) == (0, False)
    assert not (await world.job(job)).status.is_final


class Cutting:
    """A proxy that breaks the first connection off after so many bytes of answers."""

    def __init__(self, target: str, after_bytes: int) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self._target = host, int(port)
        self._left = after_bytes
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._listener]

    def __enter__(self) -> "Cutting":
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for open_one in self._sockets:
            with suppress(OSError):
                open_one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for open_one in self._sockets:
            open_one.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(self._target)
                self._sockets += [ours, theirs]
                self._start(self._forward, ours, theirs, False)
                self._start(self._forward, theirs, ours, True)

    def _forward(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_answer and not self.cuts:
                    self._left -= len(data)
                    if self._left < 0:
                        self.cuts += 1
                        break
                target.sendall(data)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)
