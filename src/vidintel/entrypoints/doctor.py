"""``vidintel doctor``: checks the requirements of the service, and says how to fix what is missing.

Packages with native code are imported only while they are checked, so a broken one is reported and the checks go on.
"""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryFile

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vidintel.application.ports import ModelRegistry
from vidintel.domain.errors import DomainError
from vidintel.infrastructure.embedded_postgres.binaries import Binaries, EmbeddedPostgresError
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry
from vidintel.settings.model import DatabaseSettings, RedisSettings, Settings

_OLDEST_PYTHON = (3, 11)
_CODECS = ("h264", "hevc", "vp9", "av1")
_LEAST_MEMORY_BYTES = 1024**3
_CONNECT_WITHIN_S = 5.0
_ANSWER_WITHIN_S = 20.0
_PROBE_KEY = "doctor/probe"


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check; ``fix`` says what to do when it is not ``ok``."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def run_doctor(settings: Settings, console: Console) -> int:
    """Check this machine for these settings and show the outcome; returns the exit code, 1 when anything is wrong."""
    checks = list(_checks(settings))
    console.print(render(checks))
    return exit_code(checks)


def exit_code(checks: Iterable[Check]) -> int:
    return 0 if all(check.ok for check in checks) else 1


def render(checks: Sequence[Check]) -> Table:
    table = Table()
    for column in ("", "what", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        mark = Text("ok", "green") if check.ok else Text("wrong", "bold red")
        table.add_row(mark, check.name, Text(check.detail), Text("" if check.ok else check.fix))
    return table


def _checks(settings: Settings) -> Iterator[Check]:
    yield check_python(sys.version_info[:3])
    for distribution, module in (
        ("openvino", "openvino"),
        ("av", "av"),
        ("opencv-python-headless", "cv2"),
        ("asyncpg", "asyncpg"),
    ):
        yield check_package(distribution, module)
    yield check_codecs(available_decoders())
    url = settings.database.url
    if url is None:
        yield check_embedded_postgres(lambda: Binaries.find(None).version)
    else:
        secret = url.get_secret_value()
        yield check_database(lambda: server_version(secret, settings.database))
    if settings.redis.url is not None:
        shared = settings.redis.url.get_secret_value()
        yield check_redis(lambda: redis_version(shared))
    yield check_folder("data directory", settings.data_dir, settings.storage.min_free_bytes)
    bucket = settings.s3.bucket
    if bucket is not None:
        shown = f"bucket {bucket} at {settings.s3.endpoint_url or 'AWS'}"
        yield check_bucket(shown, lambda: write_to_bucket(settings, bucket))
    elif settings.storage.root is not None:
        yield check_folder("object storage", settings.storage.root, settings.storage.min_free_bytes)
    yield check_port(settings.http.host, settings.http.port)
    analysis = settings.analysis
    yield check_models(lambda: DirectoryModelRegistry.serving(analysis.model, analysis.models_dir))
    yield check_machine(processors(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def check_python(found: Sequence[int]) -> Check:
    return Check(
        "Python",
        tuple(found[:2]) >= _OLDEST_PYTHON,
        ".".join(map(str, found)),
        f"Install Python {'.'.join(map(str, _OLDEST_PYTHON))} or newer.",
    )


def check_package(
    distribution: str,
    module: str,
    *,
    version_of: Callable[[str], str] = version,
    load: Callable[[str], object] = import_module,
) -> Check:
    """Whether a package is installed and can be imported: its shared libraries may be missing."""
    try:
        found = version_of(distribution)
        load(module)
    except PackageNotFoundError:
        return Check(distribution, ok=False, detail="not installed", fix=f"pip install {distribution}")
    except (ImportError, OSError) as error:
        fix = f"Install what it misses, or install it again: pip install --force-reinstall {distribution}"
        return Check(distribution, ok=False, detail=f"cannot be imported: {error}", fix=fix)
    return Check(distribution, ok=True, detail=found)


def available_decoders() -> frozenset[str]:
    """The supported codecs that this installation of PyAV can decode."""
    try:
        from av.codec import codecs_available
    except (ImportError, OSError):
        return frozenset()
    return frozenset(_CODECS) & codecs_available


def check_codecs(found: Collection[str]) -> Check:
    missing = [name for name in _CODECS if name not in found]
    detail = ", ".join(name for name in _CODECS if name in found)
    if missing:
        detail = f"{detail or 'none'}; missing: {', '.join(missing)}"
    return Check("video codecs", not missing, detail, "Use PyAV's own wheel: pip install --force-reinstall av")


def check_embedded_postgres(version_of_server: Callable[[], str]) -> Check:
    try:
        return Check("embedded PostgreSQL", ok=True, detail=version_of_server())
    except EmbeddedPostgresError as error:
        return Check("embedded PostgreSQL", ok=False, detail="cannot be used", fix=str(error))


def check_database(ask: Callable[[], Awaitable[str]], *, timeout_s: float = _CONNECT_WITHIN_S) -> Check:
    """Whether the configured server answers; ``ask`` connects and returns its version."""

    async def attempt() -> str:
        async with asyncio.timeout(timeout_s):
            return await ask()

    try:
        return Check("database", ok=True, detail=f"PostgreSQL {asyncio.run(attempt())}")
    except TimeoutError:
        detail = f"no answer within {timeout_s:.0f} s"
    except Exception as error:  # noqa: BLE001 - every driver error means the same here; the text may hold the URL
        detail = f"cannot be reached ({type(error).__name__})"
    fix = "Check VIDINTEL_DATABASE__URL (postgresql+asyncpg://user:password@host:5432/name), and that the server runs."
    return Check("database", ok=False, detail=detail, fix=fix)


async def server_version(url: str, settings: DatabaseSettings) -> str:
    from sqlalchemy import text

    from vidintel.infrastructure.database.engine import create_engine

    engine = create_engine(url, settings)
    try:
        async with engine.connect() as connection:
            return str(await connection.scalar(text("SHOW server_version")))
    finally:
        await engine.dispose()


def check_redis(ask: Callable[[], str]) -> Check:
    """Whether the configured server answers; ``ask`` connects and returns its version."""
    try:
        return Check("Redis", ok=True, detail=ask())
    except Exception as error:  # noqa: BLE001 - as above
        detail = f"cannot be reached ({type(error).__name__}); each process does without"
    fix = "Check VIDINTEL_REDIS__URL (redis://:password@host:6379/0), and that the server runs."
    return Check("Redis", ok=False, detail=detail, fix=fix)


def redis_version(url: str) -> str:
    from redis import Redis

    with Redis.from_url(url, socket_timeout=_CONNECT_WITHIN_S, socket_connect_timeout=_CONNECT_WITHIN_S) as client:
        return str(client.info("server")["redis_version"])


def check_bucket(shown: str, write: Callable[[], Awaitable[None]], *, timeout_s: float = _ANSWER_WITHIN_S) -> Check:
    """Whether objects can be written to the bucket that is ``shown`` so; ``write`` tries."""

    async def attempt() -> None:
        async with asyncio.timeout(timeout_s):
            await write()

    try:
        asyncio.run(attempt())
    except TimeoutError:
        detail = f"no answer within {timeout_s:.0f} s"
    except DomainError as error:
        detail = error.detail
    else:
        return Check("object storage", ok=True, detail=f"{shown}: can be written to")
    fix = "Check that the server runs, and VIDINTEL_S3__*: docs/operations.md tells what each is for."
    return Check("object storage", ok=False, detail=f"{shown}: {detail}", fix=fix)


async def write_to_bucket(settings: Settings, bucket: str) -> None:
    """Write a small object and remove it again. Raises as `ObjectStorage` does."""
    from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
    from vidintel.infrastructure.storage.s3 import S3ObjectStorage
    from vidintel.infrastructure.storage.s3_calls import is_outage

    async def probe() -> AsyncIterator[bytes]:
        yield b"probe"

    circuits = CircuitBreakers(lambda: settings.circuit, RedisSettings())
    with closing(S3ObjectStorage(settings.s3, bucket, circuits.breaker("s3", is_outage))) as storage:
        await storage.check()
        await storage.put(_PROBE_KEY, probe(), max_bytes=64)
        await storage.delete(_PROBE_KEY)


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def check_folder(name: str, folder: Path, min_free_bytes: int, *, free: Callable[[Path], int] = free_bytes) -> Check:
    """Whether files can be written in ``folder``, or where it would be made, and room is left beyond the reserve."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    shown = str(folder) if existing == folder.absolute() else f"{folder} (not there yet)"
    try:
        with TemporaryFile(dir=existing):
            pass
    except OSError as error:
        fix = "Give the account you run as the right to write there, or choose another place with --data-dir."
        return Check(name, ok=False, detail=f"{shown}: {error.strerror}", fix=fix)
    room = free(existing)
    fix = f"Free at least {_size(min_free_bytes - room)}, or choose another place with --data-dir."
    return Check(name, room > min_free_bytes, f"{shown}: {_size(room)} free, {_size(min_free_bytes)} reserved", fix)


def check_port(host: str, port: int) -> Check:
    if port == 0:
        return Check("port", ok=True, detail="any free one")
    try:
        with _listening(host, port):
            return Check("port", ok=True, detail=f"{port} on {host} is free")
    except OSError as error:
        fix = f"Stop what listens on it, or choose another port: --port {port + 1}"
        return Check("port", ok=False, detail=f"{port} on {host}: {error.strerror}", fix=fix)


def check_models(registry: Callable[[], ModelRegistry]) -> Check:
    """Whether the default model can be read; names all that can."""
    try:
        models = registry()
        default = models.get(models.default_name)
    except DomainError as error:
        fix = "Choose one with --model name-or-path; `vidintel models` lists what can be run."
        return Check("models", ok=False, detail=error.detail, fix=fix)
    others = [info.name for info in models.list() if info.name != default.name]
    return Check("models", ok=True, detail=", ".join([f"{default.name} {default.version} (default)", *others]))


def check_machine(processors: int, memory_bytes: int) -> Check:
    fix = f"Give this machine at least {_size(_LEAST_MEMORY_BYTES)} of memory; a worker takes about 700 MB."
    detail = f"{processors} processors, {_size(memory_bytes)} of memory"
    return Check("machine", memory_bytes >= _LEAST_MEMORY_BYTES, detail, fix)


def processors() -> int:
    """How many of the machine's processors we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        yield


def _size(size: float) -> str:
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{max(0.0, size) / 1024**2:.0f} MiB"
