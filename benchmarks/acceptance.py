"""Many small uploads at once: how long each waits for its answer, and what the API's process grows by."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid4

from benchmarks import clips, served
from benchmarks.bench import Bench
from benchmarks.http import Server, Servers
from benchmarks.latency import percentile_row
from benchmarks.report import Row, Timed
from benchmarks.rounds import in_turn

_CLIENTS = 200
_SIZE = 200_000
_LONE_UPLOADS = 20


class _Burst(NamedTuple):
    """What one run found, in seconds: each upload, all of them together, and the server's processor time for them."""

    took_s: list[float]
    wall_s: float
    cpu_s: float


def accepting(bench: Bench) -> Iterator[Row]:
    """``POST /videos`` by 200 clients at once and by one, against a bare handler that only writes a file and syncs it.

    Each upload has a connection of its own; times are from connecting to the end of the answer.
    """
    with TemporaryDirectory(dir=bench.work) as folder, ExitStack() as stack, asyncio.Runner() as runner:
        servers = Servers(Path(folder), stack)
        servers.start_bare({})
        form = _form(servers.authorization)
        ours, bare = servers.api, servers.bare

        def burst(server: Server, request: bytes, expected: int, clients: int) -> _Burst:
            each = 1 if clients > 1 else _LONE_UPLOADS
            return runner.run(_burst(server, request, expected, clients, each))

        to_ours = partial(burst, ours, form, 202)
        to_bare = partial(burst, bare, _raw(), 200)
        to_ours(1)
        to_bare(1)
        before_mb = served.peak_mb(ours.pid)
        contestants: dict[tuple[str, int], Callable[[], _Burst]] = {
            (name, clients): partial(to, clients)
            for name, to in (("ours", to_ours), ("bare", to_bare))
            for clients in (1, _CLIENTS)
        }
        found = in_turn(contestants, bench.rounds)
        after_mb = served.peak_mb(ours.pid)
    yield from _rows(found)
    growth = after_mb / before_mb
    what = f"the API's process at most: {_CLIENTS} clients against one before"
    yield Row("accept-memory", what, "MB", after_mb, before_mb, growth, growth, growth, None)


def _rows(found: dict[tuple[str, int], list[_Burst]]) -> Iterator[Row]:
    for clients in (1, _CLIENTS):
        pairs = list(zip(found["ours", clients], found["bare", clients], strict=True))
        for share in (0.5, 0.95):
            what = f"{clients} client(s), {_SIZE // 1000} kB each: against a bare handler"
            took = [(ours.took_s, bare.took_s) for ours, bare in pairs]
            yield percentile_row(f"accept-{clients}-p{100 * share:.0f}", what, took, share)
        rates = [(_rate(ours), _rate(bare)) for ours, bare in pairs]
        yield Row.of_rounds(f"accept-{clients}-rate", f"{clients} client(s): the same", "uploads/s", rates, None)
    against_one = list(zip(found["ours", _CLIENTS], found["ours", 1], strict=True))
    rates = [(_rate(many), _rate(one)) for many, one in against_one]
    yield Row.of_rounds("accept-many", f"{_CLIENTS} clients against one", "uploads/s", rates, None)


def _rate(burst: _Burst) -> Timed:
    return Timed(len(burst.took_s), burst.wall_s, burst.cpu_s)


async def _burst(server: Server, request: bytes, expected: int, clients: int, each: int) -> _Burst:
    """All ``clients`` begin together, and send ``each`` uploads one after the other."""

    async def client() -> list[float]:
        return [await _send(server.port, request, expected) for _ in range(each)]

    start, cpu_s = time.perf_counter(), served.cpu_s(server.pid)
    took = await asyncio.gather(*(client() for _ in range(clients)))
    wall_s = time.perf_counter() - start
    return _Burst([one for of_client in took for one in of_client], wall_s, served.cpu_s(server.pid) - cpu_s)


async def _send(port: int, request: bytes, expected: int) -> float:
    """Returns how long it took, in seconds."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    if not answer.startswith(f"HTTP/1.1 {expected} ".encode()):
        raise RuntimeError(f"answered {answer[:500]!r}")
    return time.perf_counter() - start


def _content() -> bytes:
    """Begins as a video does, which is all that acceptance looks at."""
    with clips.SAMPLE.open("rb") as sample:
        return sample.read(_SIZE)


def _form(headers: str) -> bytes:
    boundary = uuid4().hex
    disposition = 'Content-Disposition: form-data; name="file"; filename="small.mp4"'
    part = f"--{boundary}\r\n{disposition}\r\nContent-Type: video/mp4\r\n\r\n"
    body = part.encode() + _content() + f"\r\n--{boundary}--\r\n".encode()
    return _post("/api/v1/videos", f"multipart/form-data; boundary={boundary}", headers, body)


def _raw() -> bytes:
    return _post("/small", "video/mp4", "", _content())


def _post(path: str, media_type: str, headers: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}"
    return f"{head}Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
