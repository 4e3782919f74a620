"""`vidintel api` where only what its container image holds can be imported: docker/Dockerfile leaves the rest out."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.serving import PATIENCE_S, SAMPLE
from vidintel.infrastructure.identity.development import DevelopmentTokenIssuer

NOT_INSTALLED = tuple(
    name.replace("-", "_") for name in (Path(__file__).parents[2] / "docker" / "not-in-api.txt").read_text().split()
)
# Installed for the child that makes pictures; the process that answers requests must never load them.
NEVER_IN_THE_API = ("av", "cv2")

# Python runs it at every start, in children as well.
_SITE = f"""
import sys

class Missing:
    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{{name}} is not in the image", name=name)

sys.meta_path.insert(0, Missing(*{NOT_INSTALLED!r}))
"""
_API = f"""
import sys
from sitecustomize import Missing
sys.meta_path.insert(0, Missing(*{NEVER_IN_THE_API!r}))
from vidintel.entrypoints.cli import main
main()
"""


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_SITE)
    issuer = DevelopmentTokenIssuer(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "site"),
        "VIDINTEL_DATA_DIR": str(tmp_path / "data"),
        "VIDINTEL_DATABASE__URL": database_url,
        "VIDINTEL_AUTH__ISSUER": issuer.issuer,
        "VIDINTEL_AUTH__JWT_KEY": issuer.public_key_pem,
    }
    log = tmp_path / "api.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _API, "api", "--port", str(port)], env=environment, stdout=out, stderr=out
        )
    bearer = {"Authorization": f"Bearer {issuer.issue('alice', 'acme')}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=bearer, timeout=60) as client:
            wait_until_ready(client, process, log)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"the API does not become ready:\n{log.read_text()}")


def test_it_accepts_a_video_and_shows_a_moment_of_it(api: httpx.Client) -> None:
    with SAMPLE.open("rb") as content:
        accepted = api.post("/api/v1/videos", files={"file": content})
    video = accepted.json()["video"]["id"]
    frame = api.get(f"/api/v1/videos/{video}/frames/1.jpg")

    assert accepted.status_code == 202
    assert api.get(f"/api/v1/videos/{video}").json()["status"] == "uploaded"
    assert [model["name"] for model in api.get("/api/v1/models").json()["items"]] == ["traffic-yolov8n"]
    assert (frame.status_code, frame.headers["content-type"]) == (200, "image/jpeg")
