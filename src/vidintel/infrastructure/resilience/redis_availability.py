"""Redis is optional at every moment: this remembers when it did not answer."""

import time
from collections.abc import Callable

import structlog

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class RedisAvailability:
    """Tells an adapter whether to ask Redis, or to do without it at once.

    After a failure Redis counts as unavailable for ``retry_after_s`` seconds, so that not every caller waits for a
    time-out. ``used_for`` names the adapter in the log. Thread-safe.
    """

    def __init__(self, used_for: str, *, retry_after_s: float, time_s: Callable[[], float] = time.monotonic) -> None:
        self._used_for = used_for
        self._retry_after_s = retry_after_s
        self._time_s = time_s
        self._retry_at: float | None = None

    @property
    def is_available(self) -> bool:
        """Whether Redis may be asked. It says nothing about whether Redis will answer."""
        return self._retry_at is None or self._time_s() >= self._retry_at

    def failed(self, error: Exception) -> None:
        """Redis did not answer. Of failures at the same time, only the first is logged."""
        if self.is_available:
            _log.warning(
                "redis.unavailable", used_for=self._used_for, error=repr(error), retry_in_s=self._retry_after_s
            )
        self._retry_at = self._time_s() + self._retry_after_s
