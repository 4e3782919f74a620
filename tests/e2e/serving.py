"""Runs the real `vidintel serve` in a process of its own and talks to it over HTTP, as a client would."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

SAMPLE = Path(__file__).parents[2] / "samples" / "traffic.mp4"
FINAL = {"succeeded", "failed", "cancelled"}
PATIENCE_S = 120.0


class ServedSystem:
    """`vidintel serve` on a free port and a data directory; stopped, by its process id, at the end of the block."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str] | None = None, *, ready: bool = True) -> None:
        """``ready=False`` waits for `/health` only, for a system that is not to become ready."""
        self.data_dir = data_dir
        self._health = "/health/ready" if ready else "/health"
        self._log_path = data_dir.parent / f"{data_dir.name}.log"
        self._environment = {**os.environ, "VIDINTEL_WORK__SWEEP_S": "0.5", **(environment or {})}
        self._tokens: dict[tuple[str, str | None, str], str] = {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        command = [sys.executable, "-m", "vidintel", "serve", "--data-dir", str(self.data_dir)]
        command += ["--port", str(self.port)]
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            try:
                if httpx.get(f"{self.url}{self._health}", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"serve did not become ready:\n{self.log()[-4000:]}")

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def events(self, name: str) -> Iterator[dict[str, Any]]:
        """The log's lines of one event."""
        for line in self.log().splitlines():
            if line.startswith("{") and f'"{name}"' in line:
                event = json.loads(line)
                if event.get("event") == name:
                    yield event

    def token(self, user: str = "alice", org: str | None = "acme", role: str = "admin") -> str:
        """What `vidintel token` prints; one process for each caller."""
        if (user, org, role) not in self._tokens:
            self._tokens[user, org, role] = self._new_token(user, org, role)
        return self._tokens[user, org, role]

    def _new_token(self, user: str, org: str | None, role: str) -> str:
        command = [sys.executable, "-m", "vidintel", "token", "--user", user, "--role", role]
        command += ["--data-dir", str(self.data_dir), *(("--org", org) if org else ())]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def client(self, **who: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token(**who)}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=60)

    def worker_pid(self, after: int = 0) -> int:
        """The process id of the newest worker, once more than ``after`` of them have become ready."""
        self.wait_until(lambda: len(list(self.events("worker.ready"))) > after)
        return int(list(self.events("worker.ready"))[-1]["pid"])

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if holds():
                return
            time.sleep(0.05)
        raise AssertionError(f"it did not come to that:\n{self.log()[-4000:]}")

    def kill_worker(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)


def upload(client: httpx.Client, path: Path = SAMPLE, **fields: str) -> dict[str, Any]:
    with path.open("rb") as content:
        answer = client.post("/videos", files={"file": (path.name, content, "video/mp4")}, data=fields)
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def wait_for_job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job, once it has come to an end."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = client.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        if job["status"] in FINAL:
            return job
        time.sleep(0.1)
    raise AssertionError(f"the job did not end: {job}")


def all_detections(client: httpx.Client, video_id: str, **filters: Any) -> list[dict[str, Any]]:
    """Every page of them."""
    items: list[dict[str, Any]] = []
    params = {"limit": 1000, **filters}
    while True:
        answer = client.get(f"/videos/{video_id}/detections", params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        params["cursor"] = page["next_cursor"]
