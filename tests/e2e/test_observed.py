"""What an operator sees and changes while everything runs: metrics, one request through the logs, a saved setting."""

import json
from pathlib import Path
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.collector import SpanCollector
from tests.e2e.serving import ServedSystem, upload, wait_for_job
from vidintel.application.jobs.work import FINISH, PLAN, SEGMENT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
REQUEST_ID = "request-of-alice"


def metrics_at(url: str) -> dict[str, float]:
    """Every series with its value: ``vidintel_jobs_ended_total{failed}``."""
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").raise_for_status().text)
        for sample in family.samples
    }


def test_a_video_can_be_followed_from_its_request_to_its_last_segment(
    system: ServedSystem, collector: SpanCollector
) -> None:
    with system.client() as client:
        client.headers["X-Request-ID"] = REQUEST_ID
        client.headers["traceparent"] = f"00-{TRACE}-00f067aa0ba902b7-01"
        job_id = upload(client)["job"]["id"]
        wait_for_job(client, job_id)

    tasks = [line for line in system.events("task.completed") if line.get("job") == job_id]
    assert {line["task"] for line in tasks} == {PLAN, SEGMENT, FINISH}
    for line in tasks:
        assert (line["request_id"], line["trace"], line["tenant"]) == (REQUEST_ID, TRACE, "org_acme")
        assert ("segment" in line) == (line["task"] == SEGMENT)
    (request,) = [
        line
        for line in system.events("request.completed")
        if line["request_id"] == REQUEST_ID and line["method"] == "POST"
    ]
    assert (request["job"], request["trace"]) == (job_id, TRACE)

    wanted = {"POST /api/v1/videos", PLAN, SEGMENT, FINISH}
    system.wait_until(lambda: wanted <= collector.names(TRACE))


def test_api_and_worker_expose_what_they_did(system: ServedSystem) -> None:
    worker_url = f"http://127.0.0.1:{list(system.events('metrics.served'))[-1]['port']}"
    with system.client() as client:
        job_id = upload(client)["job"]["id"]
        wait_for_job(client, job_id)
    system.wait_until(lambda: metrics_at(worker_url)["vidintel_jobs_ended_total{succeeded}"] >= 1)

    api, worker = metrics_at(system.url), metrics_at(worker_url)

    assert api["vidintel_http_requests_total{POST,/api/v1/videos,202}"] >= 1
    assert api["vidintel_queue_depth{organisation}"] == 0
    assert api["vidintel_database_connections{in_use}"] >= 0
    assert worker["vidintel_work_attempts_total{analysis.segment,done}"] >= 1
    assert worker["vidintel_frames_analysed_total{}"] > 0
    assert worker["vidintel_detector_inference_seconds_count{}"] > 0
    assert worker["vidintel_task_duration_seconds_count{completed,analysis.segment}"] >= 1


def test_a_saved_setting_takes_effect_in_api_and_worker_and_a_broken_file_in_neither(
    system: ServedSystem, config: Path
) -> None:
    system.worker_pid()
    at_first = config.read_text()
    long = {"labels": ["car"] * 10}

    config.write_text(f"{at_first}limits: {{max_body_bytes: 10}}\nwork: {{concurrency: 9}}\nlog: {{level: debug}}\n")
    system.wait_until(lambda: len(list(system.events("settings.reloaded"))) == 2)

    assert [line["names"] for line in system.events("settings.restart_needed")] == [["work.concurrency"]] * 2
    httpx.get(f"{system.url}/health")
    system.wait_until(lambda: any(line["level"] == "debug" for line in system.events("request.completed")))
    with system.client() as client:
        address = f"/videos/{uuid4()}/jobs"
        assert client.post(address, json=long).json()["code"] == "payload_too_large"

        config.write_text("limits: {max_body_bytes: [")
        system.wait_until(lambda: len(list(system.events("settings.rejected"))) == 2)

        assert client.post(address, json=long).json()["code"] == "payload_too_large"
        assert metrics_at(system.url)["vidintel_settings_rejected{}"] == 1

        config.write_text(at_first)
        system.wait_until(lambda: len(list(system.events("settings.reloaded"))) == 4)

        assert client.post(address, json=long).json()["code"] == "video_not_found"
    assert metrics_at(system.url)["vidintel_settings_rejected{}"] == 0


def test_no_line_of_the_log_holds_a_token(system: ServedSystem) -> None:
    token = system.token()
    with system.client() as client:
        client.get("/me")
        client.get("/me", params={"token": token}, headers={"Authorization": f"Bearer {token}x"})

    system.wait_until(lambda: any(line["status"] == 401 for line in system.events("request.completed")))
    lines = [line for line in system.log().splitlines() if line.startswith("{")]
    assert not [line for line in lines if token in line or token.rpartition(".")[2] in line]
    assert all(json.loads(line)["event"] for line in lines)
