"""The process that `vidintel worker` starts for a suspect is another `vidintel worker`, configured as that one is."""

import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.support.postgres import administer

PATIENCE_S = 120.0
_SUSPECT = "UPDATE work_items SET interruptions = 1, due_at = now() WHERE kind = 'events.remove' RETURNING id"
_STILL_SUSPECT = "SELECT id FROM work_items WHERE interruptions > 0"


def test_a_worker_that_was_given_a_configuration_file_runs_a_suspect_alone(database_url: str, tmp_path: Path) -> None:
    config, log = tmp_path / "vidintel.yaml", tmp_path / "log"
    config.write_text(yaml.safe_dump({"database": {"url": database_url}, "data_dir": str(tmp_path / "data")}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIDINTEL_")}
    command = [sys.executable, "-m", "vidintel", "worker", "--config", str(config)]
    deadline = time.monotonic() + PATIENCE_S
    with log.open("wb") as output:
        worker = subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        while b"events.remove" not in log.read_bytes():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        assert administer(database_url, _SUSPECT)
        while administer(database_url, _STILL_SUSPECT):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
    finally:
        worker.terminate()
        worker.wait(60)
    assert "done alone" in log.read_text()
