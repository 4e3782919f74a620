"""A real S3 server for tests, loaded as a pytest plugin.

The server is the one at ``VIDINTEL_TEST_S3_URL`` (``VIDINTEL_TEST_S3_ACCESS_KEY_ID`` and
``VIDINTEL_TEST_S3_SECRET_ACCESS_KEY`` may create buckets there), else OpenStack Swift with its S3 interface, started on
loopback: it checks signatures and their expiry, checksums and ranges for real. Having none skips the test; with
``REQUIRE_REAL_SERVICES=1`` it is a failure.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import pytest
from pydantic import SecretStr

from vidintel.infrastructure.storage.s3_calls import connect
from vidintel.settings.model import S3Settings

_SERVER_USED = pytest.StashKey[str]()
_START_S = 60.0
# By name, with the part of Swift that it is.
_SERVERS = {"account": "account", "container": "container", "object": "obj", "proxy": "proxy"}
_STORES = ("account", "container", "object")
_RINGS = """
import sys
from swift.common.ring import RingBuilder
for name, port in zip(sys.argv[2::2], sys.argv[3::2]):
    builder = RingBuilder(4, 1, 0)
    at = {"ip": "127.0.0.1", "port": int(port), "replication_ip": "127.0.0.1", "replication_port": int(port)}
    builder.add_dev({"region": 1, "zone": 1, "device": "d1", "weight": 1, "meta": "", **at})
    builder.rebalance()
    builder.get_ring().save(f"{sys.argv[1]}/{name}.ring.gz")
"""


class S3Server:
    """One Swift on loopback that keeps its objects in a folder of its own.

    It is stopped at the end of the block; `kill` and `start` may be called in between. Ports and objects stay.
    """

    def __init__(self) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="vidintel-s3-"))
        self._etc = self._base / "etc"
        self._ports = dict(zip(_SERVERS, _free_ports(len(_SERVERS)), strict=True))
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports['proxy']}"

    @property
    def settings(self) -> S3Settings:
        """How to reach it; without a bucket."""
        return S3Settings(
            endpoint_url=self.url,
            access_key_id=SecretStr("test:tester"),
            secret_access_key=SecretStr("testing"),
            path_style=True,
        )

    def __enter__(self) -> Self:
        self._configure()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._base)

    def start(self) -> None:
        """Start it, and return when it answers."""
        for name, part in _SERVERS.items():
            program = f"import sys; from swift.{part}.server import main; sys.exit(main())"
            arguments = [sys.executable, "-c", program, str(self._etc / f"{name}.conf")]
            with (self._base / f"{name}.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        arguments, env=self._environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL
                    )
                )
        deadline = time.monotonic() + _START_S
        while not all(_listens(port) for port in self._ports.values()):
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                raise AssertionError(f"the S3 server does not start:\n{self._logs()}")
            time.sleep(0.02)

    @property
    def is_running(self) -> bool:
        return bool(self._processes)

    def kill(self) -> None:
        """SIGKILL. What it acknowledged is kept."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(30)
        self._processes.clear()

    def _configure(self) -> None:
        self._etc.mkdir()
        (self._base / "srv" / "d1").mkdir(parents=True)
        (self._etc / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_prefix=a\nswift_hash_path_suffix=b\n[storage-policy:0]\nname=one\ndefault=yes\n"
        )
        rings = [part for name in _STORES for part in (name, str(self._ports[name]))]
        subprocess.run(
            [sys.executable, "-c", _RINGS, str(self._etc), *rings],
            env=self._environment(),
            check=True,
            capture_output=True,
            timeout=60,
        )
        own = {"devices": self._base / "srv", "mount_check": "false"}
        for name in _STORES:
            app = {"use": f"egg:swift#{name}"}
            sections: dict[str, Mapping[str, object]] = {
                "DEFAULT": self._common(name) | own,
                "pipeline:main": {"pipeline": f"{name}-server"},
            }
            sections[f"app:{name}-server"] = app
            (self._etc / f"{name}.conf").write_text(_ini(sections))
        (self._etc / "proxy.conf").write_text(_ini(self._proxy()))

    def _common(self, name: str) -> dict[str, object]:
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
        return {
            "bind_ip": "127.0.0.1",
            "bind_port": self._ports[name],
            "user": user,
            "swift_dir": self._etc,
            "workers": 0,
            "log_name": name,
            "log_address": self._base / "no-syslog",
        }

    def _proxy(self) -> dict[str, Mapping[str, object]]:
        filters: dict[str, Mapping[str, object]] = {
            "catch_errors": {},
            "cache": {"use": "egg:swift#memcache", "memcache_servers": "127.0.0.1:1"},
            "s3api": {"location": "us-east-1", "allow_multipart_uploads": "true"},
            "tempauth": {"user_test_tester": "testing .admin"},
            "copy": {},
            "slo": {},
            "dlo": {},
        }
        app = {"use": "egg:swift#proxy", "allow_account_management": "true", "account_autocreate": "true"}
        return {
            "DEFAULT": self._common("proxy"),
            "pipeline:main": {"pipeline": " ".join([*filters, "proxy-server"])},
            "app:proxy-server": app,
            **{f"filter:{name}": {"use": f"egg:swift#{name}", **options} for name, options in filters.items()},
        }

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "SWIFT_CONF": str(self._etc)}

    def _logs(self) -> str:
        return "\n".join((self._base / f"{name}.log").read_text(errors="replace")[-1000:] for name in _SERVERS)


def require_s3_server() -> None:
    """Skip the test, or fail it, when no server can be started here."""
    if find_spec("swift") is not None:
        return
    message = "There is no S3 server: install swift (Linux), or set VIDINTEL_TEST_S3_URL and its credentials."
    if os.environ.get("REQUIRE_REAL_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def new_bucket(reached_by: S3Settings) -> Iterator[S3Settings]:
    """The settings of an empty bucket, which stays behind on a server that does."""
    settings = reached_by.model_copy(update={"bucket": f"vidintel-test-{uuid4().hex}"})
    client: Any = connect(settings)
    try:
        client.create_bucket(Bucket=settings.bucket)
    finally:
        client.close()
    yield settings


@pytest.fixture(scope="session")
def _shared_s3(request: pytest.FixtureRequest) -> Iterator[S3Settings]:
    url = os.environ.get("VIDINTEL_TEST_S3_URL")
    if url:
        request.config.stash[_SERVER_USED] = "the one at VIDINTEL_TEST_S3_URL"
        key, secret = (os.environ[f"VIDINTEL_TEST_S3_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        yield S3Settings(
            endpoint_url=url, access_key_id=SecretStr(key), secret_access_key=SecretStr(secret), path_style=True
        )
        return
    require_s3_server()
    with S3Server() as server:
        request.config.stash[_SERVER_USED] = "OpenStack Swift"
        yield server.settings


@pytest.fixture
def s3_settings(_shared_s3: S3Settings) -> Iterator[S3Settings]:
    """An empty bucket. The server is shared: tests that stop it ask for `s3_server`."""
    with new_bucket(_shared_s3) as settings:
        yield settings


@pytest.fixture(scope="session")
def _mortal_s3() -> Iterator[S3Server]:
    require_s3_server()
    with S3Server() as server:
        yield server


@pytest.fixture
def s3_server(_mortal_s3: S3Server) -> S3Server:
    """A server that tests may kill; it is started again for the next one."""
    if not _mortal_s3.is_running:
        _mortal_s3.start()
    return _mortal_s3


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    used = config.stash.get(_SERVER_USED, None)
    if used is not None:
        terminalreporter.write_line(f"S3 used: {used}")


def _ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    return "\n".join(
        "\n".join([f"[{name}]", *(f"{option} = {value}" for option, value in options.items())])
        for name, options in sections.items()
    )


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
