"""Providers of dependency-injector whose arguments mypy checks.

The library's own providers take ``*args: Any``, so that a type checker lets every wrong argument pass. Here a provider
is a method of the container with a return type, which builds the object in plain Python::

    class Container(containers.DeclarativeContainer):
        __self__ = CONTAINER

        @singleton
        def clock(self) -> Clock:
            return SystemClock()

        @factory
        def update_video(self) -> UpdateVideo:
            return UpdateVideo(self.uow, self.clock())

``self.clock()`` gives the object; ``self.clock`` is the provider itself, for code that needs a new object each time.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from dependency_injector import providers

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

CONTAINER: "providers.Self[Any]" = providers.Self()
"""Stands for the container in which a provider is declared."""


class Provided(Protocol[T_co]):
    """What mypy sees of a provider: called without arguments, it gives the object."""

    def __call__(self) -> T_co: ...

    def override(self, provider: providers.Provider[Any]) -> AbstractContextManager[object]:
        """Let ``provider`` give the object from now on, or until the end of a ``with`` block."""
        ...


def singleton(build: Callable[[Any], T]) -> Provided[T]:
    """One object per container, built when it is first asked for."""
    return providers.Singleton(build, CONTAINER)


def factory(build: Callable[[Any], T]) -> Provided[T]:
    """A new object, or the value of this moment, at each call."""
    return providers.Factory(build, CONTAINER)
