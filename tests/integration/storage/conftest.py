from collections.abc import Iterator

import pytest

from vidintel.infrastructure.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.s3 import S3ObjectStorage
from vidintel.infrastructure.storage.s3_calls import is_outage
from vidintel.settings import CircuitSettings, RedisSettings, S3Settings


@pytest.fixture
def circuits() -> CircuitBreakers:
    return CircuitBreakers(CircuitSettings(), RedisSettings())


@pytest.fixture
def s3_storage(s3_settings: S3Settings, circuits: CircuitBreakers) -> Iterator[S3ObjectStorage]:
    assert s3_settings.bucket is not None
    storage = S3ObjectStorage(s3_settings, s3_settings.bucket, circuits.breaker("s3", is_outage))
    yield storage
    storage.close()
