"""Stores the state of circuit breakers: in this process, or in Redis for all processes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal, Protocol, TypeAlias, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from vidintel.infrastructure.resilience.redis_availability import RedisAvailability

T = TypeVar("T")

_REDIS_TIMEOUT_S = 0.5
_RETRY_AFTER_S = 5.0

Stored: TypeAlias = Literal["closed", "opened"]


@dataclass(frozen=True, slots=True)
class Circuit:
    """``state`` as the library names it, ``opened_at`` in seconds since the epoch, ``failures`` in a row."""

    state: Stored = "closed"
    opened_at: float | None = None
    failures: int = 0


class CircuitStore(Protocol):
    """Thread-safe. Never raises because of an outage."""

    def load(self, name: str) -> Circuit: ...

    def set_state(self, name: str, state: Stored, opened_at: float | None) -> None: ...

    def add_failure(self, name: str) -> None: ...

    def clear_failures(self, name: str) -> None: ...

    def claim_trial(self, name: str, for_s: float) -> bool:
        """Whether the caller gets the trial call, for ``for_s`` seconds or until `release_trial`."""
        ...

    def release_trial(self, name: str) -> None: ...

    def close(self) -> None: ...


class InMemoryCircuits:
    """Implements `CircuitStore` for one process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._circuits: dict[str, Circuit] = {}
        self._trials: dict[str, float] = {}

    def load(self, name: str) -> Circuit:
        with self._lock:
            return self._circuits.get(name, Circuit())

    def set_state(self, name: str, state: Stored, opened_at: float | None) -> None:
        with self._lock:
            before = self._circuits.get(name, Circuit())
            self._circuits[name] = replace(before, state=state, opened_at=opened_at)

    def add_failure(self, name: str) -> None:
        with self._lock:
            before = self._circuits.get(name, Circuit())
            self._circuits[name] = replace(before, failures=before.failures + 1)

    def clear_failures(self, name: str) -> None:
        with self._lock:
            self._circuits[name] = replace(self._circuits.get(name, Circuit()), failures=0)

    def claim_trial(self, name: str, for_s: float) -> bool:
        now = time.monotonic()
        with self._lock:
            if self._trials.get(name, now) > now:
                return False
            self._trials[name] = now + for_s
            return True

    def release_trial(self, name: str) -> None:
        with self._lock:
            self._trials.pop(name, None)

    def close(self) -> None:
        """Does nothing: there is no connection to release."""


class RedisCircuits:
    """Implements `CircuitStore` for all processes on one Redis. Its data there may be lost at any time.

    While Redis does not respond, this process uses its own state, and tries Redis again after a few seconds.
    """

    def __init__(self, url: str, namespace: str) -> None:
        # Short timeouts: a breaker must not make calls wait for Redis.
        self._redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_REDIS_TIMEOUT_S,
            socket_connect_timeout=_REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._prefix = f"{namespace}:circuit:"
        self._own = InMemoryCircuits()
        self._availability = RedisAvailability("circuit breakers", retry_after_s=_RETRY_AFTER_S)

    def load(self, name: str) -> Circuit:
        def shared() -> Circuit:
            kept = cast(dict[str, str], self._redis.hgetall(self._key(name)))
            opened_at = kept.get("opened_at")
            state: Stored = "opened" if kept.get("state") == "opened" else "closed"
            return Circuit(state, float(opened_at) if opened_at else None, int(kept.get("failures", 0)))

        return self._ask(shared, lambda: self._own.load(name))

    def set_state(self, name: str, state: Stored, opened_at: float | None) -> None:
        items = ["state", state, "opened_at", "" if opened_at is None else repr(opened_at)]
        self._tell(lambda: self._redis.hset(self._key(name), items=items))
        self._own.set_state(name, state, opened_at)

    def add_failure(self, name: str) -> None:
        self._tell(lambda: self._redis.hincrby(self._key(name), "failures", 1))
        self._own.add_failure(name)

    def clear_failures(self, name: str) -> None:
        self._tell(lambda: self._redis.hdel(self._key(name), "failures"))
        self._own.clear_failures(name)

    def claim_trial(self, name: str, for_s: float) -> bool:
        key, milliseconds = f"{self._key(name)}:trial", round(for_s * 1000)
        return self._ask(
            lambda: bool(self._redis.set(key, "1", nx=True, px=milliseconds)),
            lambda: self._own.claim_trial(name, for_s),
        )

    def release_trial(self, name: str) -> None:
        self._tell(lambda: self._redis.delete(f"{self._key(name)}:trial"))
        self._own.release_trial(name)

    def close(self) -> None:
        self._redis.close()

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _tell(self, shared: Callable[[], object]) -> None:
        self._ask(shared, lambda: None)

    def _ask(self, shared: Callable[[], T], own: Callable[[], T]) -> T:
        if not self._availability.is_available:
            return own()
        try:
            return shared()
        except redis.RedisError as error:
            self._availability.failed(error)
            return own()
