"""A worker that is killed loses nothing and doubles nothing."""

import json
import random
import time
from pathlib import Path

import pytest

from tests.e2e.serving import ServedSystem, all_detections, upload, wait_for_job

KILLS = 20
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
