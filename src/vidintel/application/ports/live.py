"""Settings that may change while the process runs."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Live: TypeAlias = Callable[[], T]
"""A setting that the operator may change at run time. Read it each time it is needed, and do not keep the value."""
