"""Values that may change while we run."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Live: TypeAlias = Callable[[], T]
"""What the operator may change while we run: ask for it each time it is needed, do not keep the answer."""
