"""What causes the work that is stored now."""

import structlog

from vidintel.application.ports import NoTracing
from vidintel.domain.work import Cause
from vidintel.infrastructure.observability.cause import current_cause


def test_the_cause_is_the_request_of_the_log_lines() -> None:
    assert current_cause(NoTracing()) == Cause()
    with structlog.contextvars.bound_contextvars(request_id="request-1"):
        assert current_cause(NoTracing()) == Cause("request-1", None)
