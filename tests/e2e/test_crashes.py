"""A worker that is killed loses nothing and doubles nothing."""

import json
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.serving import ServedSystem, all_detections, upload, wait_for_job
from tests.support.postgres import administer
from vidintel.application.jobs.work import SEGMENT

KILLS, KILLS_ON_ONE_VIDEO = 20, 6
SETTINGS = {"VIDINTEL_WORK__REDISPATCH_S": "1", "VIDINTEL_ANALYSIS__SEGMENT_S": "2"}
SPEC = json.dumps({"sample_fps": "native"})


@pytest.mark.slow
@pytest.mark.timeout(1200)  # twenty starts of a worker, on a machine that may be busy
def test_twenty_kills_at_random_moments_change_nothing(server_dir: Path) -> None:
    dice = random.Random(20)
    with ServedSystem(server_dir / "data", SETTINGS) as system, system.client() as client:
        undisturbed = upload(client, spec=SPEC)
        video_id = undisturbed["video"]["id"]
        assert wait_for_job(client, undisturbed["job"]["id"])["status"] == "succeeded"
        expected = all_detections(client, video_id)
        assert len(expected) > 500

        disturbed: list[str] = []
        job_ended = True
        for kill in range(KILLS):
            pid = system.worker_pid(after=kill)
            if job_ended:
                answer = client.post(f"/videos/{video_id}/jobs", json={"sample_fps": "native"})
                assert answer.status_code == 202, answer.text
                disturbed.append(answer.json()["id"])
            time.sleep(dice.uniform(0.0, 1.2))
            system.kill_worker(pid)
            job_ended = client.get(f"/jobs/{disturbed[-1]}").json()["status"] == "succeeded"

        for job_id in disturbed:
            assert wait_for_job(client, job_id)["status"] == "succeeded"
            assert all_detections(client, video_id, job_id=job_id) == expected
        assert client.get(f"/videos/{video_id}").json()["status"] == "completed"
        assert len(list(system.events("worker.died"))) == KILLS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_that_is_killed_each_time_it_has_taken_its_work_up_again_ends_no_job(
    server_dir: Path, database_url: str
) -> None:
    settings = SETTINGS | {"VIDINTEL_ANALYSIS__SEGMENT_S": "10", "VIDINTEL_DATABASE__URL": database_url}
    with ServedSystem(server_dir / "data", settings) as system, system.client() as client:
        undisturbed = upload(client, spec=SPEC)
        video_id = undisturbed["video"]["id"]
        assert wait_for_job(client, undisturbed["job"]["id"])["status"] == "succeeded"

        job_id = client.post(f"/videos/{video_id}/jobs", json={"sample_fps": "native"}).json()["id"]
        for kill in range(KILLS_ON_ONE_VIDEO):
            pid = system.worker_pid(after=kill)
            system.wait_until(lambda: has_taken_work(database_url))
            # The worker alone, whose children then leave of themselves; or all that a container runs.
            for each in [*children_of(pid), pid] if kill % 2 else [pid]:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

        assert client.get(f"/jobs/{job_id}").json()["status"] == "running"
        assert wait_for_job(client, job_id)["status"] == "succeeded"
        expected = all_detections(client, video_id, job_id=undisturbed["job"]["id"])
        assert len(expected) > 500
        assert all_detections(client, video_id, job_id=job_id) == expected
        assert len(list(system.events("worker.died"))) == KILLS_ON_ONE_VIDEO


def has_taken_work(database_url: str) -> bool:
    query = f"SELECT id FROM work_items WHERE kind = '{SEGMENT}' AND owner IS NOT NULL AND due_at > now()"
    return bool(administer(database_url, query))


def children_of(pid: int) -> Sequence[int]:
    """Of all its threads: a child belongs to the one that started it."""
    lists = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for each in lists for child in each.split()]
