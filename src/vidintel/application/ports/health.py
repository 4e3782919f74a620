"""What is told about the things we depend on."""

from typing import Literal, TypeAlias

CircuitState: TypeAlias = Literal["closed", "half-open", "open"]
"""Of a circuit breaker: calls go through, one call may try whether they do again, or all are refused."""
