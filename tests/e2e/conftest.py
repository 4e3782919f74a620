"""One running system for the journeys that do not disturb it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.serving import ServedSystem
from tests.postgres import new_server_dir


@pytest.fixture(scope="session")
def system() -> Iterator[ServedSystem]:
    limits = {"VIDINTEL_LIMITS__MAX_UPLOAD_BYTES": "5000000", "VIDINTEL_LIMITS__MAX_DURATION_S": "120"}
    with new_server_dir() as folder, ServedSystem(folder / "data", limits) as served:
        yield served


@pytest.fixture
def client(system: ServedSystem) -> Iterator[httpx.Client]:
    with system.client() as client:
        yield client


@pytest.fixture
def stranger(system: ServedSystem) -> Iterator[httpx.Client]:
    """An admin of another tenant."""
    with system.client(user="mallory", org="others") as client:
        yield client
