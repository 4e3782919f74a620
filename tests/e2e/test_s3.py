"""The whole system with its videos in S3, which goes away in the middle and comes back."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.serving import SAMPLE, ServedSystem, all_detections, upload, wait_for_job
from tests.support.s3_server import S3Server, new_bucket


@pytest.fixture
def on_s3(s3_server: S3Server, server_dir: Path) -> Iterator[ServedSystem]:
    with new_bucket(s3_server.settings) as s3:
        assert s3.access_key_id is not None
        assert s3.secret_access_key is not None
        environment = {
            "VIDINTEL_S3__BUCKET": str(s3.bucket),
            "VIDINTEL_S3__ENDPOINT_URL": s3_server.url,
            "VIDINTEL_S3__ACCESS_KEY_ID": s3.access_key_id.get_secret_value(),
            "VIDINTEL_S3__SECRET_ACCESS_KEY": s3.secret_access_key.get_secret_value(),
            "VIDINTEL_S3__PATH_STYLE": "true",
            "VIDINTEL_S3__ATTEMPTS": "1",
            "VIDINTEL_CIRCUIT__FAILURES": "2",
            "VIDINTEL_CIRCUIT__COOL_DOWN_S": "1",
            "VIDINTEL_WORK__MAX_ATTEMPTS": "1",  # an outage that cost an attempt would be the end of the job
        }
        with ServedSystem(server_dir / "data", environment) as system:
            yield system


def readiness(system: ServedSystem) -> tuple[int, str]:
    answer = httpx.get(f"{system.url}/health/ready", timeout=30)
    return answer.status_code, answer.json()["circuits"]["s3"]


@pytest.mark.slow
def test_a_video_in_s3_is_analysed_and_an_outage_loses_nothing(on_s3: ServedSystem, s3_server: S3Server) -> None:
    with on_s3.client() as client:
        sent = upload(client)
        video = f"/videos/{sent['video']['id']}"
        assert wait_for_job(client, sent["job"]["id"])["status"] == "succeeded"
        expected = all_detections(client, sent["video"]["id"])
        assert len(expected) > 20
        assert not (on_s3.data_dir / "objects").exists()
        assert client.get(f"{video}/content").content == SAMPLE.read_bytes()
        assert client.get(f"{video}/frames/1.jpg").status_code == 200
        assert client.get(f"{video}/poster.jpg").status_code == 200

        s3_server.kill()
        on_s3.wait_until(lambda: readiness(on_s3) == (503, "open"))
        for path in ("content", "poster.jpg"):
            refused = client.get(f"{video}/{path}")
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert int(refused.headers["retry-after"]) >= 1
        assert client.get(f"{video}/frames/1.jpg").json()["code"] == "storage_unavailable"
        with SAMPLE.open("rb") as content:
            assert client.post("/videos", files={"file": content}).status_code == 503
        accepted = client.post(f"{video}/jobs", json={})
        assert accepted.status_code == 202
        on_s3.wait_until(lambda: any(e["code"] == "storage_unavailable" for e in on_s3.events("task.failed")))
        assert client.get(f"/jobs/{accepted.json()['id']}").json()["status"] in {"queued", "running"}

        s3_server.start()
        assert wait_for_job(client, accepted.json()["id"])["status"] == "succeeded"
        assert all_detections(client, sent["video"]["id"], job_id=accepted.json()["id"]) == expected
        on_s3.wait_until(lambda: readiness(on_s3) == (200, "closed"))
        assert client.get(f"{video}/content").status_code == 200
