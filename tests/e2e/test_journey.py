"""The main job: from an uploaded video to answers, over HTTP, with the real model, database and storage."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from tests.e2e.serving import SAMPLE, ServedSystem, all_detections, upload, wait_for_job
from vidintel.application.ports import Image

TRUTH = json.loads(SAMPLE.with_name("traffic.truth.json").read_text())


@pytest.fixture(scope="module")
def analysed(system: ServedSystem) -> dict[str, str]:
    """The sample, analysed: ids of video and job."""
    with system.client() as client:
        answer = upload(client, title="Junction", captured_at="2026-05-01T12:00:00+02:00", camera_id="junction")
        job = wait_for_job(client, answer["job"]["id"])
        assert job["status"] == "succeeded", job
        return {"video": answer["video"]["id"], "job": job["id"]}


def test_an_upload_is_answered_with_the_video_and_its_job(client: httpx.Client) -> None:
    answer = upload(client, description="Seen from above.", spec='{"sample_fps": 1}')

    assert answer["video"]["status"] == "uploaded"
    assert (answer["video"]["title"], answer["video"]["description"]) == ("traffic.mp4", "Seen from above.")
    assert answer["job"]["status"] == "queued"
    assert answer["job"]["spec"]["sample_fps"] == 1
    assert answer["job"]["model"]["name"] == "traffic-yolov8n"
    assert wait_for_job(client, answer["job"]["id"])["progress"]["frames_done"] == 20


def test_the_video_tells_what_it_is(client: httpx.Client, analysed: dict[str, str]) -> None:
    video = client.get(f"/videos/{analysed['video']}").json()

    assert (video["status"], video["error"]) == ("completed", None)
    media = video["media"]
    assert (media["width"], media["height"], media["frame_count"]) == (640, 360, 500)
    assert media["duration_s"] == pytest.approx(20.0, abs=0.05)
    assert (video["captured_at"], video["camera_id"]) == ("2026-05-01T10:00:00Z", "junction")


def test_videos_can_be_found_by_their_camera(client: httpx.Client, analysed: dict[str, str]) -> None:
    found = client.get("/videos", params={"camera_id": "junction"}).json()["items"]
    assert [video["id"] for video in found] == [analysed["video"]]
    assert client.get("/videos", params={"camera_id": "gate"}).json()["items"] == []


def test_what_is_seen_agrees_with_the_truth(client: httpx.Client, analysed: dict[str, str]) -> None:
    """Nearly every object that is in full view lies under a detection of its label, at the right time and place."""
    seen: dict[int, list[dict[str, object]]] = {}
    for item in all_detections(client, analysed["video"]):
        seen.setdefault(item["frame"], []).append(item)
    assert set(seen) <= set(range(0, 500, 5))
    found = wanted = 0
    for index in range(0, 500, 5):
        frame = TRUTH["frames"][index]
        for truth in frame["objects"]:
            x1, y1, x2, y2 = truth["box"]
            if truth["visible"] < 0.9 or min(x1, y1) < 0.02 or max(x2, y2) > 0.98:
                continue
            wanted += 1
            found += any(_overlap(item["box"], truth["box"]) > 0.5 for item in seen.get(index, ()))
    assert wanted > 500
    assert found / wanted > 0.9


def test_detections_carry_time_of_day_and_can_be_filtered(client: httpx.Client, analysed: dict[str, str]) -> None:
    everything = all_detections(client, analysed["video"])
    start = datetime(2026, 5, 1, 10, tzinfo=UTC)
    for item in everything:
        assert item["time_s"] == pytest.approx(item["frame"] / 25)
        expected = start + timedelta(seconds=item["time_s"])
        assert abs(datetime.fromisoformat(item["captured_at"]) - expected) < timedelta(milliseconds=1)
        box = item["box"]
        assert 0 <= box["x1"] < box["x2"] <= 1
        assert 0 <= box["y1"] < box["y2"] <= 1

    filtered = all_detections(client, analysed["video"], label="car", min_confidence=0.6, from_s=5, to_s=10)

    assert filtered
    assert filtered == [
        item for item in everything if item["label"] == "car" and item["confidence"] >= 0.6 and 5 <= item["time_s"] < 10
    ]


def test_pages_are_complete_whatever_their_size(client: httpx.Client, analysed: dict[str, str]) -> None:
    assert all_detections(client, analysed["video"], limit=37) == all_detections(client, analysed["video"])


def test_results_sum_up_the_detections(client: httpx.Client, analysed: dict[str, str]) -> None:
    everything = all_detections(client, analysed["video"])

    answer = client.get(f"/videos/{analysed['video']}/results").json()

    summary = answer["results"]["summary"]
    assert answer["job_id"] == analysed["job"]
    assert summary["frames_analysed"] == 100
    assert summary["detections"] == len(everything)
    for label, of_label in summary["labels"].items():
        times = [item["time_s"] for item in everything if item["label"] == label]
        assert (of_label["first_seen_s"], of_label["last_seen_s"]) == (min(times), max(times))
        assert of_label["peak_concurrent"]["count"] == max(times.count(time) for time in times)


def test_objects_are_counted_once(client: httpx.Client, analysed: dict[str, str]) -> None:
    true_labels = {each["track_id"]: each["label"] for frame in TRUTH["frames"] for each in frame["objects"]}
    truth = Counter(true_labels.values())

    summary = client.get(f"/videos/{analysed['video']}/results").json()["results"]["summary"]
    tracks = client.get(f"/videos/{analysed['video']}/tracks", params={"limit": 1000}).json()["items"]

    # Some objects show only a corner, or come in the last moment; none may be counted many times.
    for label, count in truth.items():
        assert abs(summary["labels"][label]["unique_tracks"] - count) <= 3, (label, truth, summary["labels"])
    assert summary["unique_tracks"] <= len(tracks)
    assert [track["track_id"] for track in tracks] == sorted(track["track_id"] for track in tracks)
    start = datetime(2026, 5, 1, 10, tzinfo=UTC)
    for track in tracks:
        assert track["path"][0]["time_s"] == track["first_seen_s"] <= track["best_shot"]["time_s"]
        first_seen_at = datetime.fromisoformat(track["first_seen_at"])
        assert abs(first_seen_at - start - timedelta(seconds=track["first_seen_s"])) < timedelta(milliseconds=1)


def test_detections_tell_their_track(client: httpx.Client, analysed: dict[str, str]) -> None:
    tracks = client.get(f"/videos/{analysed['video']}/tracks", params={"limit": 1000}).json()["items"]
    of_track = Counter(item["track_id"] for item in all_detections(client, analysed["video"]))
    untracked = of_track.pop(None, 0)

    assert set(of_track) == {track["track_id"] for track in tracks}
    assert untracked < 0.25 * of_track.total(), "second boxes on one object, and what showed once"
    assert all(of_track[track["track_id"]] <= track["points"] for track in tracks)

    long = client.get(f"/videos/{analysed['video']}/tracks", params={"label": "car", "min_duration_s": 3, "limit": 2})
    cars = [each for each in tracks if each["label"] == "car"]
    wanted = [each for each in cars if each["last_seen_s"] - each["first_seen_s"] >= 3 - 1e-6]
    assert long.json()["items"] == wanted[:2]


def test_the_timeline_tells_when_each_label_is_in_sight(client: httpx.Client, analysed: dict[str, str]) -> None:
    timeline = client.get(f"/videos/{analysed['video']}/timeline").json()

    assert (timeline["shot_changes"], timeline["shot_change_method"]) == ([], "hsv_histogram")
    for label, spans in timeline["labels"].items():
        times = [item["time_s"] for item in all_detections(client, analysed["video"], label=label)]
        assert (spans[0]["start_s"], spans[-1]["end_s"]) == (min(times), max(times))
        assert all(any(span["start_s"] <= time <= span["end_s"] for span in spans) for time in times)


def test_pictures_are_kept_as_evidence(client: httpx.Client, analysed: dict[str, str]) -> None:
    url = f"/videos/{analysed['video']}"
    evidence = client.get(f"{url}/results").json()["results"]["evidence"]
    tracks = client.get(f"{url}/tracks", params={"limit": 1000}).json()["items"]

    poster, preview = (client.get(f"{url}/{name}.jpg") for name in ("poster", "preview"))
    moments = [evidence["poster_s"] + shift for shift in (0.0, -0.2, 0.2)]
    frames = [_decoded(client.get(f"{url}/frames/{time_s:.3f}.jpg").content) for time_s in moments]
    itself, before, after = (np.abs(_decoded(poster.content).astype(int) - frame).mean() for frame in frames)

    assert poster.headers["cache-control"] == "private, no-cache"
    assert itself < min(before, after), "the poster is the frame of its moment"
    assert _decoded(preview.content).shape == (90, 1600, 3)
    assert evidence["shots"] == [track["track_id"] for track in tracks]
    for track in tracks[:5]:
        shot = client.get(f"{url}/tracks/{track['track_id']}/shot.jpg", params={"job_id": analysed["job"]})
        height, width = _decoded(shot.content).shape[:2]
        box = track["best_shot"]["box"]
        true_ratio = (box["x2"] - box["x1"]) * 640 / ((box["y2"] - box["y1"]) * 360)
        assert width / height == pytest.approx(true_ratio, rel=0.25)


def test_a_frame_is_served_with_its_boxes(client: httpx.Client, analysed: dict[str, str]) -> None:
    plain, boxed = (
        client.get(f"/videos/{analysed['video']}/frames/9.4.jpg", params={"boxes": boxes})
        for boxes in ("false", "true")
    )

    assert (plain.status_code, plain.headers["content-type"]) == (200, "image/jpeg")
    pictures = [_decoded(answer.content) for answer in (plain, boxed)]
    assert [picture.shape for picture in pictures] == [(360, 640, 3)] * 2
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 100
    assert client.get(f"/videos/{analysed['video']}/frames/99.jpg").json()["code"] == "frame_not_found"


def test_the_content_can_be_read_back_in_ranges(client: httpx.Client, analysed: dict[str, str]) -> None:
    path = f"/videos/{analysed['video']}/content"
    original = SAMPLE.read_bytes()

    assert client.get(path).content == original
    part = client.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, original[100:200])


def test_another_tenant_sees_nothing_at_all(
    client: httpx.Client, stranger: httpx.Client, analysed: dict[str, str]
) -> None:
    video, job = analysed["video"], analysed["job"]
    answers = [
        stranger.get(f"/videos/{video}"),
        stranger.patch(f"/videos/{video}", json={"title": "Mine"}),
        stranger.delete(f"/videos/{video}"),
        stranger.get(f"/videos/{video}/content"),
        stranger.get(f"/videos/{video}/detections"),
        stranger.get(f"/videos/{video}/detections", params={"job_id": job}),
        stranger.get(f"/videos/{video}/tracks"),
        stranger.get(f"/videos/{video}/timeline"),
        stranger.get(f"/videos/{video}/poster.jpg"),
        stranger.get(f"/videos/{video}/tracks/1/shot.jpg"),
        stranger.get(f"/videos/{video}/results"),
        stranger.get(f"/videos/{video}/frames/1.jpg"),
        stranger.get(f"/videos/{video}/jobs"),
        stranger.post(f"/videos/{video}/jobs", json={}),
        stranger.get(f"/jobs/{job}"),
        stranger.post(f"/jobs/{job}/cancel"),
        stranger.post(f"/jobs/{job}/retry"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert stranger.get("/videos").json()["items"] == []
    assert client.get(f"/videos/{video}").json()["title"] == "Junction"


def test_a_video_is_analysed_again_with_another_spec(client: httpx.Client, analysed: dict[str, str]) -> None:
    line = {"name": "across", "start": {"x": 0, "y": 0.5}, "end": {"x": 1, "y": 0.5}}
    zone = {"name": "top", "points": [{"x": x, "y": y} for x, y in ((0, 0), (1, 0), (1, 0.5), (0, 0.5))]}
    spec = {"sample_fps": 2, "labels": ["person"], "min_confidence": 0.5, "lines": [line], "zones": [zone]}
    answer = client.post(f"/videos/{analysed['video']}/jobs", json=spec)
    assert answer.status_code == 202, answer.text
    job = wait_for_job(client, answer.json()["id"])

    assert job["progress"]["frames_done"] == 40
    assert (job["spec"]["lines"], job["spec"]["zones"]) == ([line], [zone])
    results = client.get(f"/videos/{analysed['video']}/results", params={"job_id": job["id"]}).json()["results"]
    (use,) = results["summary"]["zones"]
    assert (use["zone"], use["label"]) == ("top", "person")
    assert use["tracks"] >= use["peak"] > 0
    assert {count["line"] for count in results["summary"]["line_crossings"]} <= {"across"}
    items = all_detections(client, analysed["video"], job_id=job["id"])
    assert {item["label"] for item in items} == {"person"}
    assert min(item["confidence"] for item in items) >= 0.5
    assert all_detections(client, analysed["video"], job_id=analysed["job"])


def test_deleting_a_video_leaves_no_file_and_no_answer(system: ServedSystem, client: httpx.Client) -> None:
    before = _files(system.data_dir / "objects")
    answer = upload(client)
    video_id = answer["video"]["id"]
    wait_for_job(client, answer["job"]["id"])

    assert client.delete(f"/videos/{video_id}").status_code == 204

    assert client.get(f"/videos/{video_id}").status_code == 404
    assert client.get(f"/jobs/{answer['job']['id']}").status_code == 404
    system.wait_until(lambda: _files(system.data_dir / "objects") <= before)


def test_roles_are_kept_apart(system: ServedSystem, analysed: dict[str, str]) -> None:
    with system.client(user="vera", role="viewer") as viewer, system.client(user="ed", role="editor") as editor:
        assert viewer.get(f"/videos/{analysed['video']}").status_code == 200
        with SAMPLE.open("rb") as content:
            assert viewer.post("/videos", files={"file": content}).json()["code"] == "permission_denied"
        assert editor.delete(f"/videos/{analysed['video']}").status_code == 403
        assert editor.patch(f"/videos/{analysed['video']}", json={"description": "Edited."}).status_code == 200


def _overlap(box: object, truth: list[float]) -> float:
    assert isinstance(box, dict)
    width = min(box["x2"], truth[2]) - max(box["x1"], truth[0])
    height = min(box["y2"], truth[3]) - max(box["y1"], truth[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = (box["x2"] - box["x1"]) * (box["y2"] - box["y1"]) + (truth[2] - truth[0]) * (truth[3] - truth[1])
    return float(width * height / (areas - width * height))


def _decoded(jpeg: bytes) -> Image:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.astype(np.uint8)


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
