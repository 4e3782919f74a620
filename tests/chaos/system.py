"""All that runs: PostgreSQL, Redis and S3, each behind a slow proxy, two APIs and three workers."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import make_url

from tests.chaos.processes import Service
from tests.chaos.proxy import SlowProxy
from tests.support.postgres import new_server_dir
from tests.support.redis_server import RedisServer
from tests.support.s3_server import S3Server, new_bucket
from vidintel.domain.identity import Role
from vidintel.infrastructure.database import migrate
from vidintel.infrastructure.embedded_postgres.server import EmbeddedPostgres
from vidintel.infrastructure.identity.development import DevelopmentTokenIssuer
from vidintel.settings.model import S3Settings

APIS, WORKERS = 2, 3
PATIENCE_S = 120.0
_WORK = {
    # The kills are our own doing: with fewer attempts a video would rightly be taken for a poisoned one.
    "VIDINTEL_WORK__MAX_ATTEMPTS": "1000",
    "VIDINTEL_WORK__RETRY_BASE_S": "0.1",
    "VIDINTEL_WORK__RETRY_CAP_S": "1",
    "VIDINTEL_WORK__LEASE_S": "6",
    "VIDINTEL_WORK__SWEEP_S": "0.5",
    "VIDINTEL_WORK__REDISPATCH_S": "2",
    "VIDINTEL_ANALYSIS__SEGMENT_S": "1",
    "VIDINTEL_CIRCUIT__COOL_DOWN_S": "1",
    "VIDINTEL_LOG__LEVEL": "warning",
}


@dataclass(frozen=True, slots=True)
class Victim:
    """Something that can be killed and started again; what is supervised starts by itself. Both block."""

    name: str
    kill: Callable[[], None]
    start: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class ChaosSystem:
    """``database_url`` and ``s3`` lead to the servers themselves, past the proxies."""

    api_urls: Sequence[str]
    token: str
    database_url: str
    s3: S3Settings
    victims: Sequence[Victim]
    proxies: Sequence[SlowProxy]
    folder: Path

    async def wait_until_ready(self) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            deadline = time.monotonic() + PATIENCE_S
            for url in self.api_urls:
                while not await _is_ready(client, url):
                    if time.monotonic() > deadline:
                        raise AssertionError(f"{url} does not become ready; see the logs in {self.folder}")
                    await asyncio.sleep(0.1)


@asynccontextmanager
async def running() -> AsyncIterator[ChaosSystem]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(new_server_dir())
        for name in ("postgres", "redis", "data"):
            (folder / name).mkdir(mode=0o755)
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        stack.enter_context(postgres.kept_running())
        await asyncio.to_thread(migrate.upgrade, postgres.url)
        redis = stack.enter_context(RedisServer(folder / "redis"))
        s3 = stack.enter_context(S3Server())
        bucket = stack.enter_context(new_bucket(s3.settings))
        proxies = [
            await stack.enter_async_context(SlowProxy(name, target))
            for name, target in (
                ("postgres", _socket_of(postgres.url)),
                ("redis", redis.port),
                ("s3", int(s3.url.rsplit(":", 1)[1])),
            )
        ]
        issuer = DevelopmentTokenIssuer(folder / "data")
        environment = _environment(folder, issuer, bucket, {proxy.name: proxy.port for proxy in proxies})
        ports = [_free_port() for _ in range(APIS)]
        services = [
            *(
                Service(f"api-{port}", environment | {"VIDINTEL_HTTP__PORT": str(port)}, folder / f"api-{port}.log")
                for port in ports
            ),
            *(Service(f"worker-{n}", environment, folder / f"worker-{n}.log") for n in range(WORKERS)),
        ]
        for service in services:
            stack.callback(service.end)
        supervising = asyncio.create_task(_supervise(services))
        stack.callback(supervising.cancel)
        system = ChaosSystem(
            api_urls=[f"http://127.0.0.1:{port}" for port in ports],
            token=issuer.issue("chaos", "acme", Role.EDITOR),
            database_url=postgres.url,
            s3=bucket,
            victims=[
                *(Victim(service.name, service.kill) for service in services),
                Victim("postgres", lambda: _kill(postgres)),
                Victim("redis", redis.kill, redis.start),
                Victim("s3", s3.kill, s3.start),
            ],
            proxies=proxies,
            folder=folder,
        )
        await system.wait_until_ready()
        yield system


def _kill(postgres: EmbeddedPostgres) -> None:
    """It is kept running, as under `vidintel serve`, and recovers from its log. Perhaps it is still at that."""
    with suppress(ProcessLookupError):
        os.kill(postgres.pid, signal.SIGKILL)


async def _supervise(services: Sequence[Service]) -> None:
    while True:
        for service in services:
            await asyncio.to_thread(service.keep_running)
        await asyncio.sleep(0.2)


def _environment(
    folder: Path, issuer: DevelopmentTokenIssuer, bucket: S3Settings, ports: Mapping[str, int]
) -> dict[str, str]:
    assert bucket.bucket is not None
    assert bucket.access_key_id is not None
    assert bucket.secret_access_key is not None
    return {
        **_WORK,
        "VIDINTEL_DATA_DIR": str(folder / "data"),
        "VIDINTEL_DATABASE__URL": f"postgresql+asyncpg://vidintel@127.0.0.1:{ports['postgres']}/vidintel?ssl=disable",
        "VIDINTEL_DATABASE__POOL_SIZE": "5",
        "VIDINTEL_REDIS__URL": f"redis://127.0.0.1:{ports['redis']}/0",
        "VIDINTEL_S3__BUCKET": bucket.bucket,
        "VIDINTEL_S3__ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
        "VIDINTEL_S3__ACCESS_KEY_ID": bucket.access_key_id.get_secret_value(),
        "VIDINTEL_S3__SECRET_ACCESS_KEY": bucket.secret_access_key.get_secret_value(),
        "VIDINTEL_S3__PATH_STYLE": "true",
        "VIDINTEL_S3__READ_TIMEOUT_S": "5",
        "VIDINTEL_AUTH__JWT_KEY": issuer.public_key_pem,
        "VIDINTEL_AUTH__ISSUER": issuer.issuer,
    }


def _socket_of(url: str) -> str:
    """The Unix socket of an embedded server."""
    parsed = make_url(url)
    return f"{parsed.query['host']}/.s.PGSQL.{parsed.query['port']}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/health/ready")).status_code == 200
    except httpx.TransportError:
        return False
