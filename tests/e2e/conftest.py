"""One running system for the journeys that do not disturb it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.collector import SpanCollector
from tests.e2e.serving import ServedSystem
from tests.support.postgres import new_server_dir


@pytest.fixture(scope="session")
def collector() -> Iterator[SpanCollector]:
    with SpanCollector() as collector:
        yield collector


@pytest.fixture(scope="session")
def config(collector: SpanCollector) -> Iterator[Path]:
    """The configuration file of `system`."""
    with new_server_dir() as folder:
        file = folder / "vidintel.yaml"
        file.write_text(f"metrics: {{worker_port: 0}}\ntracing: {{endpoint: '{collector.endpoint}'}}\n")
        yield file


@pytest.fixture(scope="session")
def system(config: Path) -> Iterator[ServedSystem]:
    limits = {"VIDINTEL_LIMITS__MAX_UPLOAD_BYTES": "5000000", "VIDINTEL_LIMITS__MAX_DURATION_S": "120"}
    observed = {"VIDINTEL_CONFIG": str(config), "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with new_server_dir() as folder, ServedSystem(folder / "data", limits | observed) as served:
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
