"""A running PostgreSQL server process, started by this process or left behind by an earlier launcher."""

import os
import signal
import subprocess
import time
from pathlib import Path

from vidintel.infrastructure.embedded_postgres.binaries import EmbeddedPostgresError

_POLL_S = 0.05
_FAST_SHUTDOWN_S = 30.0


class Postmaster:
    """The server process of one cluster. ``child`` is given when this process started it."""

    def __init__(self, pid: int, cluster: Path, child: "subprocess.Popen[bytes] | None" = None) -> None:
        self.pid = pid
        self._cluster = cluster
        self._child = child

    @classmethod
    def left_behind(cls, cluster: Path) -> "Postmaster | None":
        """The server that still runs on ``cluster``.

        When there is none, a stale ``postmaster.pid`` must not prevent a start, although its process id may belong to
        another process by now, or to a zombie. The file is not removed, because PostgreSQL uses it to detect running
        children of the last server. It gets the id of this process instead: PostgreSQL ignores the id of its parent.
        """
        pid_file = cluster / "postmaster.pid"
        try:
            first, rest = pid_file.read_text().split("\n", 1)
            pid = int(first)
        except (FileNotFoundError, ValueError):
            return None
        candidate = cls(pid, cluster)
        if candidate.is_running:
            return candidate
        pid_file.write_text(f"{os.getpid()}\n{rest}")
        return None

    @property
    def is_running(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return str(self._cluster) in _command_line(self.pid)

    def was_started_with(self, arguments: list[str]) -> bool:
        try:
            recorded = (self._cluster / "postmaster.opts").read_text().strip()
        except FileNotFoundError:
            return False
        return recorded.endswith(" " + " ".join(f'"{argument}"' for argument in arguments))

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything is written. Returns when it is gone."""
        self._signal(signal.SIGINT)
        if not self._wait(_FAST_SHUTDOWN_S):
            self._signal(signal.SIGQUIT)  # as a crash would: the next start recovers
            if not self._wait(_FAST_SHUTDOWN_S):
                raise EmbeddedPostgresError(f"PostgreSQL (process {self.pid}) does not stop. Stop it, and try again.")

    def _signal(self, number: int) -> None:
        if self.is_running:
            os.kill(self.pid, number)

    def _wait(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self.is_running:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return []
    listed = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.split()
