"""Whether the service is ready for requests."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from vidintel.application.ports import (
    CircuitState,
)
from vidintel.domain.errors import DomainError


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    ok: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """The state of each component by name, and of the circuit breakers of remote services."""

    components: Mapping[str, ComponentHealth]
    circuits: Mapping[str, CircuitState]


class CheckReadiness:
    """Whether each dependency of this service answers now. For anyone: the response has names, and no secrets."""

    _TIMEOUT_S = 3.0

    def __init__(
        self, checks: Mapping[str, Callable[[], Awaitable[None]]], circuits: Callable[[], Mapping[str, CircuitState]]
    ) -> None:
        """``circuits`` may block."""
        self._checks = checks
        self._circuits = circuits

    async def __call__(self) -> Readiness:
        states = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        # Read after the checks, because a check may open or close a circuit.
        return Readiness(dict(zip(self._checks, states, strict=True)), await asyncio.to_thread(self._circuits))

    async def _run(self, check: Callable[[], Awaitable[None]]) -> ComponentHealth:
        try:
            async with asyncio.timeout(self._TIMEOUT_S):
                await check()
        except DomainError as error:
            return ComponentHealth(ok=False, detail=error.detail)
        except Exception as error:  # noqa: BLE001 - any error means that the component is not ready
            return ComponentHealth(ok=False, detail=type(error).__name__)
        return ComponentHealth(ok=True)
