"""What causes the work that is stored now."""

import structlog

from vidintel.application.ports import Tracing
from vidintel.domain.work import Cause


def current_cause(tracing: Tracing) -> Cause:
    """The request that is being answered, or the one that caused the work under way: its id, and the present span."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return Cause(request_id, tracing.traceparent())
