"""The state of the services that this process depends on."""

from typing import Literal, TypeAlias

CircuitState: TypeAlias = Literal["closed", "half-open", "open"]
"""The state of a circuit breaker: all calls pass, one trial call passes, or all calls are refused."""
