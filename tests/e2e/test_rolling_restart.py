"""API processes are restarted under load, and every request is answered."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.serving import PATIENCE_S, SAMPLE
from vidintel.infrastructure.identity.development import DevelopmentTokenIssuer

CLIENTS = 6


class ApiProcesses:
    """`vidintel api` on one database; each listens on a socket that it inherits."""

    def __init__(self, folder: Path, database_url: str, settings: Mapping[str, str]) -> None:
        issuer = DevelopmentTokenIssuer(folder)
        self.headers = {"Authorization": f"Bearer {issuer.issue('alice', 'acme')}"}
        self._log = folder / "api.log"
        self._environment = {
            **os.environ,
            "VIDINTEL_DATA_DIR": str(folder / "data"),
            "VIDINTEL_DATABASE__URL": database_url,
            "VIDINTEL_AUTH__ISSUER": issuer.issuer,
            "VIDINTEL_AUTH__JWT_KEY": issuer.public_key_pem,
            **settings,
        }

    def start(self, listener: socket.socket) -> subprocess.Popen[bytes]:
        fd = listener.fileno()
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "vidintel", "api", "--fd", str(fd)],
                env=self._environment,
                stdout=log,
                stderr=log,
                pass_fds=[fd],
            )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def has_started(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it has come so far that a signal does not simply kill it."""
        lines = self._log.read_text().splitlines()
        return any('"api.listening"' in line and json.loads(line)["pid"] == process.pid for line in lines)


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


class Load:
    """Clients that ask one thing after the other over connections that they keep, and never ask twice."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = headers
        self._stopping = threading.Event()
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []

    @contextmanager
    def running(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=60) as client:
            while not self._stopping.is_set():
                try:
                    self.answers[client.get("/api/v1/videos").status_code] += 1
                except httpx.TransportError as error:
                    self.failures.append(repr(error))


def wait_until(holds: Callable[[], bool], api: ApiProcesses) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError(f"it did not come to that:\n{api.log()[-4000:]}")


def has_started(url: str) -> bool:
    return httpx.get(f"{url}/health/startup", timeout=PATIENCE_S).status_code == 200


def upload_that_waits(url: str, headers: Mapping[str, str], sent_half: threading.Event, go_on: threading.Event) -> int:
    content = SAMPLE.read_bytes()
    head = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'

    def body() -> Iterator[bytes]:
        yield head + content[:1000]
        sent_half.set()
        assert go_on.wait(PATIENCE_S)
        yield content[1000:] + b"\r\n--cut--\r\n"

    form = {**headers, "Content-Type": "multipart/form-data; boundary=cut"}
    return httpx.post(f"{url}/api/v1/videos", content=body(), headers=form, timeout=60).status_code


@pytest.mark.slow
def test_no_request_is_refused_or_cut_off_while_one_process_after_the_other_is_restarted(
    database_url: str, tmp_path: Path
) -> None:
    api = ApiProcesses(tmp_path, database_url, {"VIDINTEL_HTTP__DRAIN_S": "0.3"})
    sent_half, go_on = threading.Event(), threading.Event()
    uploaded: list[int] = []
    with listening() as (listener, url):
        processes = [api.start(listener)]
        try:
            wait_until(lambda: has_started(url), api)
            uploading = threading.Thread(
                target=lambda: uploaded.append(upload_that_waits(url, api.headers, sent_half, go_on))
            )
            uploading.start()
            assert sent_half.wait(PATIENCE_S)
            with Load(url, api.headers).running() as load:
                wait_until(lambda: load.answers.total() > 100, api)
                # Another one takes over while the first still has half an upload.
                processes.append(api.start(listener))
                wait_until(lambda: api.has_started(processes[1]), api)
                processes[0].terminate()
                wait_until(lambda: '"api.draining"' in api.log(), api)
                go_on.set()
                assert processes[0].wait(60) == 0, api.log()[-4000:]
                # And once more without another one: who connects in the meantime waits.
                processes[1].terminate()
                assert processes[1].wait(60) == 0, api.log()[-4000:]
                processes.append(api.start(listener))
                answered = load.answers.total()
                wait_until(lambda: load.answers.total() > answered + 100, api)
            uploading.join()
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)

    assert load.failures == []
    assert set(load.answers) == {200}
    assert uploaded == [202]


@pytest.mark.slow
def test_before_it_ends_a_process_is_not_ready_and_lets_go_of_connections(database_url: str, tmp_path: Path) -> None:
    api = ApiProcesses(tmp_path, database_url, {"VIDINTEL_HTTP__DRAIN_S": "600"})
    with listening() as (listener, url):
        process = api.start(listener)
        try:
            wait_until(lambda: has_started(url), api)
            with httpx.Client(base_url=url, headers=api.headers, timeout=60) as client:
                assert "connection" not in client.get("/api/v1/videos").headers
                about_to_ask = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=60)
                about_to_ask.connect()
                process.terminate()
                wait_until(lambda: client.get("/health/ready").status_code == 503, api)

                assert client.get("/health/ready").json()["status"] == "draining"
                answer = client.get("/api/v1/videos")
                assert (answer.status_code, answer.headers["connection"]) == (200, "close")
                with closing(about_to_ask):
                    about_to_ask.request("GET", "/health")
                    assert about_to_ask.getresponse().status == 200
        finally:
            process.send_signal(signal.SIGINT)  # a second signal: at once
            assert process.wait(60) == 0
