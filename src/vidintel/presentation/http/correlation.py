"""The id that ties a request to its log lines and to the problem document it may end in."""

import re
from secrets import token_hex

from starlette.types import Scope

HEADER = b"x-request-id"
_KEY = "correlation_id"
_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def correlation_id(scope: Scope) -> str:
    """The request's id: what the client sent as ``X-Request-ID`` when that is sane, else a fresh one."""
    state = scope.setdefault("state", {})
    if _KEY not in state:
        sent = next((value for name, value in scope["headers"] if name == HEADER), b"")
        state[_KEY] = sent.decode() if _SANE.fullmatch(sent) else token_hex(16)
    known: str = state[_KEY]
    return known
