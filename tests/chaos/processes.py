"""The processes that are killed: the real API and the real worker, each in a process of its own.

They are forked from a server process that has everything imported, so that one which was killed is back at once; the
model is scripted, so that two cores are enough for five of them.
"""

import multiprocessing
import multiprocessing.context
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from uuid import UUID

from dependency_injector import providers

from tests.support.fake_inference import FAKE_MODEL, FakeDetector, FakeDetectors, FakeModelRegistry, objects_at
from vidintel.application.ports import Frame
from vidintel.container import Container
from vidintel.domain.detection import Detection
from vidintel.entrypoints.api import run_api
from vidintel.entrypoints.worker import run_worker
from vidintel.infrastructure.tasks.solo_process import ChildProcess
from vidintel.settings.sources import load

POISON_HEIGHT = 96
"""A frame of this height ends whichever process looks for objects in it."""

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


class Service:
    """``name`` is ``api-…`` or ``worker-…``; what it prints goes to ``log``. Safe to use from several threads."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._arguments = (name, dict(environment), log)
        self._lock = Lock()
        self._process: multiprocessing.context.ForkServerProcess | None = None
        self._ended = False

    def keep_running(self) -> None:
        """Start it unless it runs, as whatever supervises it in production does."""
        with self._lock:
            if not self._ended and (self._process is None or not self._process.is_alive()):
                self._process = _PROCESSES.Process(target=_run, args=self._arguments, daemon=True)
                self._process.start()

    def kill(self) -> None:
        """SIGKILL."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.join()

    def end(self) -> None:
        """Kill it for good."""
        self._ended = True
        self.kill()


def _run(name: str, environment: Mapping[str, str], log: Path) -> None:
    with log.open("ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.environ.update(environment)
    _script_the_model()
    if name.startswith("api"):
        run_api(load())
    else:
        run_worker(load(), name=name, with_parent=False)


def _script_the_model() -> None:
    Container.registry.override(providers.Singleton(FakeModelRegistry))
    Container.detectors.override(providers.Object(FakeDetectors({FAKE_MODEL.name: FakeDetector(scene=_scene)})))
    Container.solo_process.override(providers.Object(ChildProcess([sys.executable, "-m", "tests.chaos.processes"])))


def _scene(frame: Frame) -> Sequence[Detection]:
    if frame.image.shape[0] == POISON_HEIGHT:
        os.abort()
    return objects_at(frame.index)


def _run_alone(arguments: Sequence[str]) -> None:
    """What a worker starts for a suspect: ``--alone ID --name OWNER``."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    _script_the_model()
    run_worker(load(), name=given["--name"], with_parent=True, alone=UUID(given["--alone"]))


if __name__ == "__main__":
    _run_alone(sys.argv[1:])
