import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from tests.support.s3_server import S3Server, new_bucket
from vidintel.domain.errors import StorageUnavailable
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.s3 import S3ObjectStorage
from vidintel.infrastructure.storage.s3_calls import is_outage
from vidintel.settings.model import CircuitSettings, RedisSettings, S3Settings

NewStorage = Callable[[S3Settings], S3ObjectStorage]
PATIENCE_S = 60.0


@dataclass
class CoolDown:
    """How long a circuit stays open; a test that wants it to recover makes it short."""

    seconds: float = 3600.0


@pytest.fixture
def cool_down() -> CoolDown:
    return CoolDown()


@pytest.fixture
def circuits(cool_down: CoolDown) -> CircuitBreakers:
    """They open at the second outage."""
    return CircuitBreakers(lambda: CircuitSettings(failures=2, cool_down_s=cool_down.seconds), RedisSettings())


@pytest.fixture
def new_storage(circuits: CircuitBreakers) -> Iterator[NewStorage]:
    """Storages of given settings, closed at the end."""
    with ExitStack() as made:

        def make(settings: S3Settings) -> S3ObjectStorage:
            assert settings.bucket is not None
            storage = S3ObjectStorage(settings, settings.bucket, circuits.breaker("s3", is_outage))
            made.callback(storage.close)
            return storage

        yield make


@pytest.fixture
def s3_storage(new_storage: NewStorage, s3_settings: S3Settings) -> S3ObjectStorage:
    return new_storage(s3_settings)


@pytest.fixture
def mortal(new_storage: NewStorage, s3_server: S3Server) -> Iterator[S3ObjectStorage]:
    """On a server that the test may kill, and impatient."""
    with new_bucket(s3_server.settings) as settings:
        yield new_storage(settings.model_copy(update={"attempts": 1, "read_timeout_s": 2.0}))


async def until_it_works(storage: S3ObjectStorage, cool_down: CoolDown) -> None:
    """Wait until a server that was started again answers."""
    cool_down.seconds = 0.05
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(StorageUnavailable):
                return await storage.check()
            await asyncio.sleep(0.05)
