"""Doing a unit of work again after a transient failure."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from vidintel.domain.errors import ServiceUnavailable

T = TypeVar("T")
P = ParamSpec("P")

_PAUSES_S = (0.05, 0.25, 1.0)
"""Before each further attempt, on average. A database that is restarted is back within about a second."""


def retried(unit: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """For a coroutine that is one unit of work from its first to its last line, and reads all that it decides upon.

    It is done again when it left nothing for sure: a deadlock, or a connection that broke before the commit. When the
    commit itself got no answer it may have happened, and the `ServiceUnavailable` goes to the caller.
    """

    @wraps(unit)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        for pause_s in _PAUSES_S:
            try:
                return await unit(*args, **kwargs)
            except ServiceUnavailable as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - two that collided must not again
        return await unit(*args, **kwargs)

    return wrapper
