"""``Ok`` and ``Err``: what a use case returns. Match on them::

match await register_video(principal, upload):
    case Ok(registered): ...
    case Err(error): ...
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

from vidintel.domain.errors import DomainError

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Ok(Generic[T_co]):
    value: T_co


@dataclass(frozen=True, slots=True)
class Err:
    error: DomainError


Result: TypeAlias = Ok[T] | Err


def as_result(use_case: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, Result[T]]]:
    """Turn a coroutine that raises `DomainError`s into one that returns a `Result`. Other exceptions propagate."""

    @wraps(use_case)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> Result[T]:
        try:
            return Ok(await use_case(*args, **kwargs))
        except DomainError as error:
            return Err(error)

    return wrapper
