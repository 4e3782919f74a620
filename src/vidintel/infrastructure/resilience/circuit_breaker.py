"""Circuit breakers for remote services: while a service is down, calls fail at once instead of waiting for it.

A circuit is *closed* while calls pass. After some consecutive failures it is *open*: calls are refused. After the
cool-down it is *half-open*: one trial call passes, and its outcome closes the circuit or opens it again.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import structlog
from purgatory import CircuitBreakerFailed, CircuitBreakerRecovered, ContextChanged
from purgatory.domain.model import Context, OpenedState

from vidintel.application.ports import CircuitState, Live
from vidintel.infrastructure.resilience.circuit_store import Circuit, CircuitStore, InMemoryCircuits, RedisCircuits
from vidintel.settings.model import CircuitSettings, RedisSettings

CircuitListener: TypeAlias = Callable[[str, CircuitState], None]
IsOutage: TypeAlias = Callable[[BaseException], bool]

# The process of a trial call may be killed during it. After this time, another trial call may start.
_TRIAL_S = 10.0
_WHILE_ANOTHER_TRIES_S = 1.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class CircuitOpen(Exception):
    """The call was not made, because the service was down a moment ago."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(f"The circuit breaker of '{name}' is open.")
        self.retry_after_s = retry_after_s


class CircuitBreaker:
    """Guards the calls to one dependency; thread-safe.

    ``is_outage`` tells which errors mean that the dependency is down; any other error counts as an answer. ``changed``
    is given the new state, in the thread of the call that changed it.
    """

    def __init__(
        self,
        name: str,
        store: CircuitStore,
        settings: Live[CircuitSettings],
        *,
        is_outage: IsOutage,
        changed: Callable[[CircuitState], None],
    ) -> None:
        self._name = name
        self._store = store
        self._settings = settings
        self._is_outage = is_outage
        self._changed = changed

    @property
    def state(self) -> CircuitState:
        return self._state_of(self._store.load(self._name))

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Make one call in the block. Raises `CircuitOpen` instead of entering it while the circuit is open."""
        circuit = self._store.load(self._name)
        machine, is_trial = self._machine(circuit), self._state_of(circuit) == "half-open"
        # The library would let all waiting calls pass at once.
        if is_trial and not self._store.claim_trial(self._name, _TRIAL_S):
            raise CircuitOpen(self._name, _WHILE_ANOTHER_TRIES_S)
        try:
            try:
                machine.handle_new_request()
            except OpenedState as refused:
                waits_s = refused.opened_at + self._settings().cool_down_s - time.time()
                raise CircuitOpen(self._name, max(0.0, waits_s)) from refused
            if is_trial:
                self._changed("half-open")
            try:
                yield
            except BaseException as error:
                self._end(machine, is_trial, error)
                raise
            self._end(machine, is_trial, None)
        finally:
            if is_trial:
                self._store.release_trial(self._name)

    def _state_of(self, circuit: Circuit) -> CircuitState:
        if circuit.state == "closed" or circuit.opened_at is None:
            return "closed"
        return "half-open" if time.time() > circuit.opened_at + self._settings().cool_down_s else "open"

    def _machine(self, circuit: Circuit) -> Context:
        """The library's state machine. A new one for each call: it is not made for several threads."""
        return Context(
            self._name,
            self._settings().failures,
            self._settings().cool_down_s,
            circuit.state,
            circuit.failures,
            circuit.opened_at,
            exclude=[(BaseException, lambda error: not self._is_outage(error))],
        )

    def _end(self, machine: Context, is_trial: bool, error: BaseException | None) -> None:
        if not is_trial:  # other calls may have failed or succeeded meanwhile
            machine = self._machine(self._store.load(self._name))
        if error is None:
            machine.handle_end_request()
        else:
            machine.handle_exception(error)
        self._keep(machine)

    def _keep(self, machine: Context) -> None:
        for message in machine.messages:
            match message:
                case CircuitBreakerFailed():
                    self._store.add_failure(self._name)
                case CircuitBreakerRecovered():
                    self._store.clear_failures(self._name)
                case ContextChanged(state="opened" | "closed" as state, opened_at=opened_at):
                    self._store.set_state(self._name, state, opened_at)
                    self._changed("open" if state == "opened" else "closed")


class CircuitBreakers:
    """All circuit breakers of this process. With Redis, all processes share the state of each circuit."""

    def __init__(self, settings: Live[CircuitSettings], shared: RedisSettings) -> None:
        self._settings = settings
        self._store: CircuitStore = (
            InMemoryCircuits() if shared.url is None else RedisCircuits(shared.url.get_secret_value(), shared.namespace)
        )
        self._breakers: dict[str, CircuitBreaker] = {}
        self._listeners: list[CircuitListener] = []

    def breaker(self, name: str, is_outage: IsOutage) -> CircuitBreaker:
        """A new breaker on the circuit of ``name``. ``is_outage`` tells which errors mean that it is down."""
        breaker = CircuitBreaker(
            name,
            self._store,
            self._settings,
            is_outage=is_outage,
            changed=lambda state: self._tell(name, state),
        )
        self._breakers[name] = breaker
        return breaker

    def states(self) -> Mapping[str, CircuitState]:
        """By name. May ask Redis: not for the thread of an event loop."""
        return {name: breaker.state for name, breaker in self._breakers.items()}

    def add_listener(self, listener: CircuitListener) -> None:
        """``listener`` is given name and new state whenever this process changes a circuit, in any thread."""
        self._listeners.append(listener)

    def close(self) -> None:
        self._store.close()

    def _tell(self, name: str, state: CircuitState) -> None:
        _log.warning("circuit.changed", circuit=name, state=state)
        for listener in self._listeners:
            listener(name, state)
