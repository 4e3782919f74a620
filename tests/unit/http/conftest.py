from collections.abc import Iterator

import pytest
import structlog

from tests.unit.http.edge import Edge


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Unconfigured, structlog draws tracebacks with all their variables, which takes seconds."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def edge() -> Edge:
    return Edge()
