"""Keeps one worker process alive for `vidintel serve`."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import structlog

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0
# A worker that ran for this long had started properly: a video killed it, so the supervisor restarts it at once. A
# worker that cannot start is restarted with growing delays.
_STEADY_AFTER_S = 2.0


class WorkerSupervisor:
    """Starts ``vidintel worker``, and restarts it whenever it ends; one that cannot start, every few seconds.

    The worker's standard input is a pipe from this process. When this process dies, the worker reads the end of the
    pipe and exits.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], *, stop_after_s: float) -> None:
        self._command = [sys.executable, "-m", "vidintel", "worker", "--with-parent", *arguments]
        self._environment = {**os.environ, **environment}
        self._stop_after_s = stop_after_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name="worker-supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tell the worker to stop, wait for it, and kill it when it takes too long."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(self._stop_after_s)
            except subprocess.TimeoutExpired:
                _log.warning("worker.killed", pid=process.pid)
                process.kill()
        self._thread.join()

    def _supervise(self) -> None:
        delay_s = _FIRST_DELAY_S
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                # A session of its own: Ctrl-C in the terminal reaches only this process, which then stops the worker.
                self._process = process = subprocess.Popen(
                    self._command, env=self._environment, stdin=subprocess.PIPE, start_new_session=True
                )
            ran_steadily = self._wait(process)
            if self._stopping.is_set():
                return
            delay_s = _FIRST_DELAY_S if ran_steadily else min(_LONGEST_DELAY_S, delay_s * 2)
            if process.returncode == 0:  # by itself: it had grown too large
                _log.info("worker.replaced", pid=process.pid, restart_in_s=delay_s)
            else:
                _log.error("worker.died", pid=process.pid, returncode=process.returncode, restart_in_s=delay_s)
            self._stopping.wait(delay_s)

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for its end; returns whether it had started properly."""
        with process:
            try:
                process.wait(_STEADY_AFTER_S)
            except subprocess.TimeoutExpired:
                process.wait()
                return True
        return False
