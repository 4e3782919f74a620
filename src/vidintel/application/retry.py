"""Retrying a unit of work after a transient failure."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from vidintel.domain.errors import ServiceUnavailable

T = TypeVar("T")
P = ParamSpec("P")

_PAUSES_S = (0.05, 0.25, 1.0)
"""The mean delay before each further attempt. A restarted database is back within about a second."""


def retried(unit: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorate a coroutine that is a single unit of work, and that reads within it everything that it depends on.

    The coroutine is retried after failures that certainly committed nothing: a deadlock, or a connection that broke
    before the commit. When the connection breaks during the commit, the commit may have succeeded, so the
    `ServiceUnavailable` goes to the caller.
    """

    @wraps(unit)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        for pause_s in _PAUSES_S:
            try:
                return await unit(*args, **kwargs)
            except ServiceUnavailable as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, to avoid a second collision
        return await unit(*args, **kwargs)

    return wrapper
