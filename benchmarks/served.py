"""Servers of one benchmark: an embedded PostgreSQL with our schema, our API as a process, and the bare peers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.postgres import new_server_dir
from tests.support.redis_server import RedisServer, find_redis_server
from vidintel.infrastructure.database import migrate
from vidintel.infrastructure.embedded_postgres.server import EmbeddedPostgres

_PATIENCE_S = 60.0


@contextmanager
def database() -> Iterator[str]:
    """The URL of a fresh, migrated database, as durable as it is in use."""
    with new_server_dir() as folder, EmbeddedPostgres(folder) as server:
        migrate.upgrade(server.url)
        yield server.url


def redis(folder: Path, stack: ExitStack) -> RedisServer | None:
    """A server of its own; ``None`` when there is no program for it."""
    try:
        binary = find_redis_server()
    except pytest.skip.Exception:
        return None
    data = folder / "redis"
    data.mkdir()
    return stack.enter_context(RedisServer(data, binary=binary))


@contextmanager
def process(*arguments: str, log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m arguments``, stopped at the end."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(60)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def cpu_s(pid: int) -> float:
    """The processor time that a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """The most memory that a process has held so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_answers(url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer")
