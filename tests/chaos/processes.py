"""The processes that are killed: the real API and the real worker, each in a process of its own.

They are forked from a server process that has everything imported, so that one which was killed is back at once; the
model is scripted, so that two cores are enough for five of them.
"""

import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path

from dependency_injector import providers

from tests.fake_inference import FakeDetectors, FakeModelRegistry
from vidintel.configuration import load
from vidintel.container import Container
from vidintel.presentation import entry

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


class Service:
    """``name`` is ``api-…`` or ``worker-…``. `kill` and `start` as often as wanted; what it prints goes to ``log``."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._environment = dict(environment)
        self._log = log
        self._process = self._new()

    def start(self) -> None:
        self._process = self._new()
        self._process.start()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    def _new(self) -> "multiprocessing.context.ForkServerProcess":
        return _PROCESSES.Process(target=_run, args=(self.name, self._environment, self._log), daemon=True)


def _run(name: str, environment: Mapping[str, str], log: Path) -> None:
    with log.open("ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.environ.update(environment)
    Container.registry.override(providers.Singleton(FakeModelRegistry))
    Container.detectors.override(providers.Singleton(FakeDetectors))
    if name.startswith("api"):
        entry.run_api(load())
    else:
        entry.run_worker(load(), name=name, with_parent=False)
