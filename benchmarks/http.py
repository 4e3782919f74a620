"""Our API against bare FastAPI and Starlette, each a process of its own on the same server."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid4

import httpx

from benchmarks import clips, served
from benchmarks.bench import Bench
from benchmarks.report import Row, Skipped, Timed
from benchmarks.rounds import in_turn
from vidintel.domain.identity import Role
from vidintel.infrastructure.cache.changes import RECENT_S
from vidintel.infrastructure.identity.development import DevelopmentTokenIssuer

_CONNECTIONS = 16
_UPLOADS_AT_ONCE = 20
_GROWTH_MB = 60


class Server(NamedTuple):
    port: int
    pid: int


class Servers:
    """Our API on a fresh database, and the bare peers beside it. Enter it, and they run."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        issuer = DevelopmentTokenIssuer(folder)
        self.token = issuer.issue("bench", "bench", Role.ADMIN)
        self._environment = {
            "VIDINTEL_DATABASE__URL": stack.enter_context(served.database()),
            "VIDINTEL_DATA_DIR": str(folder),
            "VIDINTEL_AUTH__JWT_KEY": issuer.public_key_pem,
            "VIDINTEL_AUTH__ISSUER": issuer.issuer,
        }
        self.api = self.start_api({})

    @property
    def authorization(self) -> str:
        return f"Authorization: Bearer {self.token}\r\n"

    def start_api(self, environment: Mapping[str, str]) -> Server:
        """Our API, on the same database as those before it."""
        port = served.free_port()
        given = {**self._environment, "VIDINTEL_HTTP__PORT": str(port), **environment}
        return self._start("vidintel", "api", environment=given, port=port, ready="health")

    def start_bare(self, item: object) -> None:
        port = served.free_port()
        given = {"BENCH_FOLDER": str(self._folder), "BENCH_ITEM": json.dumps(item), "BENCH_PORT": str(port)}
        self.bare = self._start("benchmarks.bare_app", environment=given, port=port, ready="ready")

    def register(self) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.api.port}/api/v1", headers=headers, timeout=60) as client:
            with clips.SAMPLE.open("rb") as content:
                answer = client.post("/videos", files={"file": ("traffic.mp4", content, "video/mp4")})
            answer.raise_for_status()
            video_id = answer.json()["video"]["id"]
            video: dict[str, object] = client.get(f"/videos/{video_id}").raise_for_status().json()
            return video

    def _start(self, *arguments: str, environment: Mapping[str, str], port: int, ready: str) -> Server:
        log = self._folder / "servers.log"
        running = self._stack.enter_context(served.process(*arguments, log=log, environment=environment))
        served.wait_until_answers(f"http://127.0.0.1:{port}/{ready}")
        return Server(port, running.pid)


def uploading(bench: Bench) -> Iterator[Row]:
    """One client, one file of 1 GB (200 MB when quick), with SHA-256 and fsync on both sides; then 20 clients at once.

    The 20 send a tenth of that each, and the API's process is measured against what it held after one.
    """
    size = 200_000_000 if bench.is_quick else 1_000_000_000
    with TemporaryDirectory(dir=bench.work) as folder, ExitStack() as stack:
        servers = Servers(Path(folder), stack)
        servers.start_bare({})
        content = Path(folder) / "content"
        _write_content(content, size)
        path = "/api/v1/videos"
        ours = partial(_upload_form, servers.api.port, path, content, servers.authorization, 202)
        contestants: dict[str, Callable[[], Timed]] = {
            "ours": ours,
            "raw": partial(_upload_raw, servers.bare.port, "/raw", content),
            "uploadfile": partial(_upload_form, servers.bare.port, "/uploadfile", content, "", 200),
        }
        found = in_turn({name: partial(_then_removed, run, content) for name, run in contestants.items()}, bench.rounds)
        before_mb = served.peak_mb(servers.api.pid)
        _write_content(content, size // 10)
        one_of_many = partial(_upload_form, servers.api.port, path, content, servers.authorization, 202)
        with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as clients:
            for sent in [clients.submit(one_of_many) for _ in range(_UPLOADS_AT_ONCE)]:
                sent.result()
        after_mb = served.peak_mb(servers.api.pid)
    for key, what, target in (
        ("upload-raw", "against a bare Starlette handler, raw body", 0.85),
        ("upload-uploadfile", "against FastAPI's UploadFile + copy", 1.5),
    ):
        pairs = list(zip(found["ours"], found[key.removeprefix("upload-")], strict=True))
        yield Row.of_rounds(key, f"{size / 1e6:,.0f} MB {what}", "MB/s", pairs, target)
    what = f"the API grows with {_UPLOADS_AT_ONCE} clients of {size / 1e7:,.0f} MB each, of {_GROWTH_MB} MB"
    yield Row.of_limit(
        "upload-memory", what, "MB", after_mb - before_mb, _GROWTH_MB, 1.0, {"before": before_mb, "after": after_mb}
    )


def reading(bench: Bench) -> Iterator[Row | Skipped]:
    """An authenticated ``GET /videos/{id}`` against a bare route with the same answer; nothing changes meanwhile."""
    seconds = 2.0 if bench.is_quick else 5.0
    with TemporaryDirectory(dir=bench.work) as folder, ExitStack() as stack, asyncio.Runner() as runner:
        servers = Servers(Path(folder), stack)
        video = servers.register()
        servers.start_bare(video)
        ours = _get(f"/api/v1/videos/{video['id']}", servers.authorization)
        uncached = {"VIDINTEL_CACHE__ENTRIES": "0"}
        contestants = {
            "bare": (servers.bare, _get(f"/items/{video['id']}", "")),
            "read": (servers.start_api(uncached), ours),
            "read-cached": (servers.api, ours),
        }
        redis = served.redis(Path(folder), stack)
        if redis is not None:
            contestants["read-redis"] = (servers.start_api(uncached | {"VIDINTEL_REDIS__URL": redis.url}), ours)
            time.sleep(RECENT_S)  # before it trusts what it finds there

        def load(name: str, duration_s: float) -> Timed:
            server, request = contestants[name]
            before = served.cpu_s(server.pid)
            run = runner.run(_load(server.port, request, duration_s))
            return replace(run, cpu_s=served.cpu_s(server.pid) - before)

        for name in contestants:
            load(name, 0.5)
        found = in_turn({name: partial(load, name, seconds) for name in contestants}, bench.rounds)
    for key, where, peer, against, target in (
        ("read", "from the database", "bare", "a bare FastAPI route", 0.55),
        ("read-cached", "from the cache in the process", "bare", "a bare FastAPI route", 1.0),
        ("read-redis", "from Redis", "bare", "a bare FastAPI route", None),
        ("read-redis-database", "from Redis", "read", "the same from the database", 1.0),
    ):
        name = key.removesuffix("-database")
        if name not in found:
            yield Skipped(key, "there is no redis-server")
            continue
        pairs = list(zip(found[name], found[peer], strict=True))
        what = f"GET /videos/{{id}}, authenticated, {where}: against {against}"
        yield Row.of_rounds(key, what, "requests/s", pairs, target, detail={"connections": _CONNECTIONS})


def _write_content(path: Path, size: int) -> None:
    """Begins as a video does; what follows cannot be told from one by its name or its first bytes."""
    block = os.urandom(1_000_000)
    with clips.SAMPLE.open("rb") as sample, path.open("wb") as file:
        file.write(sample.read(4096))
        while file.tell() < size:
            file.write(block[: size - file.tell()])


def _then_removed(upload: Callable[[], Timed], content: Path) -> Timed:
    """Each run finds the disk as the one before did: a disk may be slower where it was never written before."""
    took, size = upload(), content.stat().st_size
    for path in content.parent.rglob("*"):
        if path != content and path.is_file() and path.stat().st_size == size:
            path.unlink()
    os.sync()
    return took


def _upload_raw(port: int, path: str, content: Path) -> Timed:
    return _send(port, path, content, b"", b"", "Content-Type: video/mp4\r\n", 200)


def _upload_form(port: int, path: str, content: Path, headers: str, expected: int) -> Timed:
    boundary = uuid4().hex
    before = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="long.mp4"\r\n'
        "Content-Type: video/mp4\r\n\r\n"
    )
    headers += f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
    return _send(port, path, content, before.encode(), f"\r\n--{boundary}--\r\n".encode(), headers, expected)


def _send(port: int, path: str, content: Path, before: bytes, after: bytes, headers: str, expected: int) -> Timed:
    """The kernel reads and sends the file, so that the client takes little from the server."""
    size = content.stat().st_size
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}"
    head += f"Content-Length: {len(before) + size + len(after)}\r\n\r\n"
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection, content.open("rb") as file:
        connection.sendall(head.encode() + before)
        connection.sendfile(file)
        connection.sendall(after)
        answer = b"".join(iter(partial(connection.recv, 65536), b""))
    wall_s = time.perf_counter() - start
    if not answer.startswith(f"HTTP/1.1 {expected} ".encode()):
        raise RuntimeError(f"{path} answered {answer[:500]!r}")
    return Timed(size / 1e6, wall_s)


def _get(path: str, headers: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()


async def _load(port: int, request: bytes, seconds: float) -> Timed:
    """As many requests as `_CONNECTIONS` connections get answered, one at a time each."""
    start = time.perf_counter()

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        try:
            while time.perf_counter() < start + seconds:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200 "):
                    raise RuntimeError(f"answered {head!r}")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                answered += 1
        finally:
            writer.close()
        return answered

    answered = await asyncio.gather(*(client() for _ in range(_CONNECTIONS)))
    return Timed(sum(answered), time.perf_counter() - start)
