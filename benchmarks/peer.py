"""Starts the peer as a process of its own and talks to it. See `benchmarks.peer_ultralytics`.

BENCH_PYTHON names another Python than ours that has Ultralytics.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from benchmarks.clips import ROOT
from benchmarks.report import Timed

PYTHON = Path(os.environ.get("BENCH_PYTHON", sys.executable))


class PeerUnavailable(Exception):
    """Ultralytics cannot be run here."""


class Peer:
    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders, self._answers = orders, answers
        self.versions: dict[str, str] = self._answer()

    def make_weights(self, folder: Path) -> Path:
        return Path(self._ask(make=str(folder))["made"])

    def predict(self, weights: Path, clip: Path, imgsz: int) -> Timed:
        """Every frame of ``clip``."""
        answer = self._ask(predict=str(weights), source=str(clip), imgsz=imgsz)
        return Timed(answer["frames"], answer["wall_s"], answer["cpu_s"])

    def _ask(self, **order: object) -> dict[str, Any]:
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise PeerUnavailable("Ultralytics ended; see benchmarks/results/peer.log")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def ultralytics(log: Path) -> Iterator[Peer]:
    """Raises `PeerUnavailable`."""
    seen = subprocess.run([PYTHON, "-c", "import torch, ultralytics"], capture_output=True, cwd=log.parent)
    if seen.returncode:
        raise PeerUnavailable("Ultralytics and torch are not installed; 'make bench' does it where it can")
    environment = {
        **os.environ,
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "YOLO_CONFIG_DIR": str(log.parent),
        "PYTHONPATH": str(ROOT),
    }
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [PYTHON, "-m", "benchmarks.peer_ultralytics"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            cwd=log.parent,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Peer(process.stdin, process.stdout)
        finally:
            process.stdin.close()
            if sys.exc_info()[0] is not None:
                process.terminate()
