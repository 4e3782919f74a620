"""Starting, stopping, crashing and starting again: what was accepted is finished."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving import ServedSystem, all_detections, upload, wait_for_job
from vidintel.application.jobs.work import SEGMENT
from vidintel.domain.errors import LeaseLost

NATIVE = json.dumps({"sample_fps": "native"})
SLOW = {"VIDINTEL_WORK__CONCURRENCY": "1", "VIDINTEL_ANALYSIS__SEGMENT_S": "1"}


@pytest.mark.slow
def test_a_system_that_is_killed_and_started_again_finishes_what_it_accepted(server_dir: Path) -> None:
    system = ServedSystem(server_dir / "data", SLOW)
    system.start()
    with system.client() as client:
        accepted = [upload(client, spec=NATIVE) for _ in range(2)]
    system.kill()

    with system, system.client() as client:
        for answer in accepted:
            assert wait_for_job(client, answer["job"]["id"])["status"] == "succeeded"
        first, second = (all_detections(client, answer["video"]["id"]) for answer in accepted)
    assert first == second


@pytest.mark.slow
def test_a_second_serve_on_the_same_folder_is_refused_and_sigterm_hands_work_back(server_dir: Path) -> None:
    system = ServedSystem(server_dir / "data", SLOW)
    with system, system.client() as client:
        system.worker_pid()
        answer = upload(client, spec=NATIVE)
        second = subprocess.run(
            [sys.executable, "-m", "vidintel", "serve", "--data-dir", str(system.data_dir), "--port", "0"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert "in use" in second.stderr
        assert "Traceback" not in second.stderr
        assert system.stop() == 0
    with system, system.client() as client:
        job = wait_for_job(client, answer["job"]["id"])
        assert job["status"] == "succeeded"
        assert len(all_detections(client, answer["video"]["id"])) > 500


# Quick heartbeats, and one long segment: so there is a middle to stop in, however fast the machine is.
ONE_LONG_SEGMENT = {
    "VIDINTEL_WORK__CONCURRENCY": "1",
    "VIDINTEL_WORK__HEARTBEAT_S": "0.1",
    "VIDINTEL_ANALYSIS__SEGMENT_S": "100",
}


@pytest.mark.slow
def test_cancelling_stops_the_worker_at_its_next_heartbeat(server_dir: Path) -> None:
    with ServedSystem(server_dir / "data", ONE_LONG_SEGMENT) as system, system.client() as client:
        system.worker_pid()
        answer = upload(client, spec=NATIVE)
        job_id = answer["job"]["id"]
        system.wait_until(lambda: client.get(f"/jobs/{job_id}").json()["progress"]["frames_done"] > 0)

        assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
        system.wait_until(lambda: bool(stopped(system)))

        # A segment that had run to its end would have been refused because its job is not running.
        assert [event["reason"] for event in stopped(system)] == [LeaseLost().detail]
        assert client.get(f"/videos/{answer['video']['id']}").json()["status"] == "uploaded"
        assert client.post(f"/jobs/{job_id}/cancel").json()["code"] == "invalid_transition"
        assert client.post(f"/jobs/{job_id}/retry").json()["code"] == "invalid_transition"
        again = client.post(f"/videos/{answer['video']['id']}/jobs", json={"sample_fps": 1}).json()
        assert wait_for_job(client, again["id"])["status"] == "succeeded"


def stopped(system: ServedSystem) -> list[dict[str, Any]]:
    return [event for event in system.events("task.skipped") if event.get("task") == SEGMENT]


@pytest.mark.slow
def test_workers_that_have_grown_too_large_are_replaced_and_the_job_is_none_the_worse(server_dir: Path) -> None:
    always_too_large = {"VIDINTEL_WORK__RECYCLE_BYTES": "1", "VIDINTEL_ANALYSIS__SEGMENT_S": "100"}
    with ServedSystem(server_dir / "data", always_too_large) as system, system.client() as client:
        answer = upload(client)
        assert wait_for_job(client, answer["job"]["id"])["status"] == "succeeded"
        # What comes next may begin in the moment before a worker has seen how large it is.
        system.wait_until(lambda: len(list(system.events("worker.replaced"))) >= 2)
        system.wait_until(lambda: len({event["pid"] for event in system.events("worker.ready")}) >= 3)

        assert list(system.events("worker.died")) == []
