"""A worker process whose decoder makes up segments and whose detector sleeps: what is left is the orchestration.

Its videos are JSON that says which job they are of and how many segments to make up. When it begins to plan a job, a
moment after claiming it, it appends the job's id and the time to a file, which `beginnings` reads.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from dependency_injector import providers

from tests.support.factories import MODEL
from vidintel.application.ports import Frame, MediaPlan, ModelInfo
from vidintel.container import create_container
from vidintel.domain.detection import FrameDetections
from vidintel.domain.segment import SegmentSpan
from vidintel.domain.video import MediaInfo
from vidintel.infrastructure.observability.logging import configure_logging
from vidintel.presentation.worker import WorkerProcess
from vidintel.settings.model import Settings

_BEGINNINGS = "beginnings"
_SLEEP_S = float(os.environ.get("BENCH_SLEEP_S", "0.5"))


class Sleeper:
    """Decoder, detectors and detector in one; what they are told makes no difference."""

    info = ModelInfo(MODEL.name, MODEL.version, "sleep", ("car",), (320, 320), "Apache-2.0", MODEL.sha256, "")

    def __init__(self, folder: Path) -> None:
        self._beginnings = folder / _BEGINNINGS

    def plan(self, content: BinaryIO, **_: object) -> MediaPlan:
        began_s = time.monotonic()
        asked = json.load(content)
        with self._beginnings.open("a") as file:
            file.write(f"{asked['job']} {began_s}\n")
        count = asked["segments"]
        spans = tuple(
            SegmentSpan(index, 10.0 * index, None if index == count - 1 else 10.0 * index + 10, 250 * index, 250, 50)
            for index in range(count)
        )
        return MediaPlan(MediaInfo("mp4", "h264", 640, 360, 0, 10.0 * count, 25.0, 250 * count), spans)

    def frames(self, content: BinaryIO, span: SegmentSpan, **_: object) -> Iterator[Frame]:
        return iter(())

    def get(self, name: str) -> "Sleeper":
        return self

    def detect(self, frames: Iterable[Frame], **_: object) -> Iterator[FrameDetections]:
        time.sleep(_SLEEP_S)
        yield from ()


def beginnings(folder: Path) -> dict[str, float]:
    """When each job was begun with, by its id: seconds of the machine's monotonic clock."""
    lines = (folder / _BEGINNINGS).read_text().splitlines()
    return {job: float(began_s) for job, began_s in map(str.split, lines)}


async def _work(settings: Settings, name: str) -> None:
    assert settings.database.url is not None
    container = create_container(settings, settings.database.url.get_secret_value())
    sleeper = Sleeper(settings.data_dir)
    container.owner.override(providers.Object(name))
    container.decoder.override(providers.Object(sleeper))
    container.detectors.override(providers.Object(sleeper))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        await WorkerProcess(container.worker_services()).run(stop)
    finally:
        await container.engine().dispose()


if __name__ == "__main__":
    settings = Settings()
    configure_logging(settings.log)
    asyncio.run(_work(settings, sys.argv[1]))
