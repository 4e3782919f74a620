"""A video that kills every process that analyses it fails alone, though others are analysed beside it."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from dependency_injector import providers

from tests.chaos.processes import POISON_HEIGHT, Service
from tests.crashing.system import ALICE, Incoming
from tests.support.fake_inference import FakeModelRegistry
from tests.support.media_files import PLAIN, even_times, numbered, video
from tests.support.postgres import administer
from vidintel.application.result import Ok
from vidintel.container import create_container
from vidintel.settings.model import Settings

HEALTHY, WORKERS = 20, 2
PATIENCE_S = 240.0
_ACTIVE = "SELECT id FROM jobs WHERE status IN ('queued', 'running')"
_ENDS = """
    SELECT jobs.id, jobs.status, jobs.failure_code, count(detections.job_id) AS found
    FROM jobs LEFT JOIN detections ON detections.job_id = jobs.id GROUP BY jobs.id"""


async def register(database_url: str, data_dir: Path, contents: Sequence[bytes]) -> Sequence[UUID]:
    """Returns the id of each video's job."""
    container = create_container(Settings(data_dir=data_dir), database_url)
    container.registry.override(providers.Singleton(FakeModelRegistry))
    jobs = []
    for content in contents:
        result = await container.register_video()(ALICE, Incoming(content))
        assert isinstance(result, Ok), result
        jobs.append(result.value.job.job.id)
    await container.engine().dispose()
    return jobs


@contextmanager
def workers_kept_running(environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    workers = [Service(f"worker-{n}", environment, folder / f"worker-{n}.log") for n in range(WORKERS)]
    over = threading.Event()

    def supervise() -> None:
        while not over.wait(0.1):
            for worker in workers:
                worker.keep_running()

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    try:
        yield
    finally:
        over.set()
        supervisor.join()
        for worker in workers:
            worker.end()


def wait_for_all_jobs(database_url: str, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while active := administer(database_url, _ACTIVE):
        if time.monotonic() > deadline:
            logs = "\n".join(log.read_text(errors="replace")[-4000:] for log in folder.glob("*.log"))
            raise AssertionError(f"{len(active)} jobs do not come to an end:\n{logs}")
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_only_the_video_that_kills_its_workers_fails(database_url: str, tmp_path: Path) -> None:
    healthy = video(even_times(25), PLAIN)
    poison = video(even_times(25), PLAIN, draw=lambda number: numbered(number, height=POISON_HEIGHT))
    contents = [*[healthy] * (HEALTHY // 2), poison, *[healthy] * (HEALTHY // 2)]
    job_ids = asyncio.run(register(database_url, tmp_path, contents))
    environment = {"VIDINTEL_DATABASE__URL": database_url, "VIDINTEL_DATA_DIR": str(tmp_path)}

    with workers_kept_running(environment, tmp_path):
        wait_for_all_jobs(database_url, tmp_path)

    ends = {row["id"]: row for row in administer(database_url, _ENDS)}
    poisoned = ends.pop(job_ids[contents.index(poison)])
    assert (poisoned["status"], poisoned["failure_code"], poisoned["found"]) == ("failed", "attempts_exhausted", 0)
    assert Counter(end["status"] for end in ends.values()) == {"succeeded": HEALTHY}
    assert len({end["found"] for end in ends.values()}) == 1
