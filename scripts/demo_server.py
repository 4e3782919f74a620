"""`vidintel serve` as a child process of `make demo`."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

_READY_WITHIN_S = 90.0
_STOP_WITHIN_S = 60.0


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


class Refused(DemoFailed):
    """The server is well, and refused what it was given; its log has nothing to add."""


class DemoServer:
    """Serves on a free port of this machine and on a data directory of its own, from `start` to `stop`.

    What ``VIDINTEL_*`` variables say is left out: they may name a real database, and a demo has no business there.
    """

    def __init__(self, home: Path, model: str | None) -> None:
        self._data_dir = home / "data"
        self._log = home / "server.log"
        self._model = model
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("VIDINTEL_")}
        self._process: subprocess.Popen[bytes] | None = None
        self._issuing: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return once it is ready to work; nothing is left running when it does not get so far."""
        command = [sys.executable, "-m", "vidintel", "serve", "--data-dir", str(self._data_dir)]
        command += ["--port", str(self._port), *(("--model", self._model) if self._model else ())]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C is for the demo, which then stops the server in good order.
            self._process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # it shows a token, which has no place in a log
                stderr=log,
                start_new_session=True,
            )
        command = [sys.executable, "-m", "vidintel", "token", "--user", "demo", "--org", "demo", "--role", "admin"]
        self._issuing = subprocess.Popen(  # meanwhile
            [*command, "--data-dir", str(self._data_dir)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for process in (self._issuing, self._process):
            if process is not None and process.poll() is None:
                process.terminate()
        for process in (self._issuing, self._process):
            if process is not None:
                try:
                    process.communicate(timeout=_STOP_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()

    def log_tail(self, lines: int = 25) -> str:
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def token(self) -> str:
        """A development token of an administrator."""
        assert self._issuing is not None
        token, errors = self._issuing.communicate()
        if self._issuing.returncode != 0:
            raise DemoFailed(f"No token could be made: {errors.strip()}")
        return token.strip()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise DemoFailed(f"The server ended with exit code {self._process.returncode} before it was ready.")
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=5, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.1)
        raise DemoFailed(f"The server was not ready within {_READY_WITHIN_S:.0f} s.")
