"""The cause of the work that this process stores."""

import structlog

from vidintel.application.ports import Tracing
from vidintel.domain.work import Cause


def current_cause(tracing: Tracing) -> Cause:
    """The id of the current request, or of the request that caused the running work, and the current span."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return Cause(request_id, tracing.traceparent())
