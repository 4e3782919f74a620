"""The lifecycle of an API process."""


class Lifecycle:
    """`has_started` is true once all dependencies have answered, `is_draining` from the request to stop on."""

    def __init__(self) -> None:
        self._has_started = False
        self._is_draining = False

    @property
    def has_started(self) -> bool:
        return self._has_started

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    def start(self) -> None:
        self._has_started = True

    def drain(self) -> None:
        self._is_draining = True
