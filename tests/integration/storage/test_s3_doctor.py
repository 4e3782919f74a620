"""What `vidintel doctor` and `/health/ready` tell about the bucket."""

import asyncio
from contextlib import closing
from typing import Any

import pytest
from pydantic import SecretStr

from tests.integration.storage.conftest import NewStorage
from vidintel.application.queries.readiness import CheckReadiness
from vidintel.entrypoints.doctor import Check, check_bucket, write_to_bucket
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.s3_calls import connect
from vidintel.settings.model import S3Settings, Settings

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a missing bucket": ({"bucket": "nobody-made-this-one"}, "VIDINTEL_S3__BUCKET"),
    "wrong credentials": ({"secret_access_key": SecretStr("wrong")}, "VIDINTEL_S3__SECRET_ACCESS_KEY"),
    "no server": ({"endpoint_url": "http://127.0.0.1:1"}, "does not answer"),
}


@pytest.fixture(params=WRONG)
def wrong(request: pytest.FixtureRequest, s3_settings: S3Settings) -> tuple[S3Settings, str]:
    """Settings with which it cannot work, and what is to be told."""
    changes, told = WRONG[request.param]
    return s3_settings.model_copy(update={"attempts": 1, **changes}), told


def examined(settings: S3Settings) -> Check:
    assert settings.bucket is not None
    bucket = settings.bucket
    return check_bucket(bucket, lambda: write_to_bucket(Settings(s3=settings), bucket))


def test_a_bucket_that_can_be_written_to_is_well_and_nothing_stays_in_it(s3_settings: S3Settings) -> None:
    assert examined(s3_settings).ok

    with closing(connect(s3_settings)) as client:
        assert client.list_objects_v2(Bucket=s3_settings.bucket)["KeyCount"] == 0


def test_the_doctor_tells_what_is_wrong_with_the_bucket(wrong: tuple[S3Settings, str]) -> None:
    settings, told = wrong

    check = examined(settings)

    assert not check.ok
    assert told in check.detail
    assert "VIDINTEL_S3__" in check.fix


def test_a_server_that_is_silent_is_not_waited_for() -> None:
    async def silent() -> None:
        await asyncio.Event().wait()

    assert "no answer" in check_bucket("videos", silent, timeout_s=0.01).detail


async def test_readiness_tells_what_is_wrong_with_the_bucket(
    wrong: tuple[S3Settings, str], new_storage: NewStorage, circuits: CircuitBreakers
) -> None:
    settings, told = wrong
    readiness = CheckReadiness({"storage": new_storage(settings).check}, circuits.states)

    storage = (await readiness()).components["storage"]

    assert not storage.ok
    assert storage.detail is not None
    assert told in storage.detail


async def test_readiness_tells_of_an_open_circuit(
    s3_settings: S3Settings, new_storage: NewStorage, circuits: CircuitBreakers
) -> None:
    storage = new_storage(s3_settings.model_copy(update={"attempts": 1, "endpoint_url": "http://127.0.0.1:1"}))
    readiness = CheckReadiness({"storage": storage.check}, circuits.states)

    assert (await readiness()).circuits == {"s3": "closed"}
    assert (await readiness()).circuits == {"s3": "open"}
