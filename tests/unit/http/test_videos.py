"""Videos over HTTP: what is asked of the use cases, and what a video looks like."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.unit.http.edge import EDITOR, Edge
from tests.unit.http.samples import JOB_ID, MEDIA, SHA256, VIDEO_ID, failed_video, probed_video, running, video
from vidintel.application.ports import Page, VideoFilter, VideoReport
from vidintel.application.videos.library import VideoChanges, VideoPage
from vidintel.domain.video import CameraId, VideoStatus

URL = "/api/v1/videos"
ONE = f"{URL}/{VIDEO_ID}"


async def test_a_video_shows_everything_but_where_its_bytes_lie(edge: Edge) -> None:
    edge.answers["get_video"] = VideoReport(
        probed_video(
            captured_at=datetime(2026, 5, 1, 8, tzinfo=timezone(timedelta(hours=2))),
            camera_id=CameraId("gate-3"),
            description="dawn",
        ),
        None,
    )

    async with edge.client() as client:
        response = await client.get(ONE)

    assert edge.called("get_video") == (EDITOR, VIDEO_ID)
    assert response.json() == {
        "id": str(VIDEO_ID),
        "status": "uploaded",
        "title": "Gate",
        "description": "dawn",
        "captured_at": "2026-05-01T06:00:00Z",
        "camera_id": "gate-3",
        "source": {"kind": "upload", "name": "gate.mp4"},
        "content": {"size_bytes": 1000, "sha256": SHA256},
        "media": {
            "container": MEDIA.container,
            "codec": "h264",
            "width": 1280,
            "height": 720,
            "rotation": 90,
            "duration_s": 12.0,
            "frame_rate": 25.0,
            "frame_count": 300,
        },
        "error": None,
        "created_by": "user_alice",
        "created_at": "2026-05-01T08:00:00Z",
        "updated_at": "2026-05-01T08:00:05Z",
        "expires_at": None,
        "job": None,
    }


async def test_a_video_without_content_media_or_luck_says_so(edge: Edge) -> None:
    edge.answers["get_video"] = VideoReport(failed_video(), running(1, 2, 3))
    async with edge.client() as client:
        failed = (await client.get(ONE)).json()
        edge.answers["get_video"] = VideoReport(video(status=VideoStatus.PENDING), None)
        pending = (await client.get(ONE)).json()

    assert failed["error"] == {"code": "no_frames", "detail": "No frame."}
    assert failed["job"]["id"] == str(JOB_ID)
    assert (pending["content"], pending["media"], pending["error"]) == (None, None, None)


@pytest.mark.parametrize(
    ("query", "filter_", "page"),
    [
        ("", VideoFilter(), Page(50, None)),
        ("?limit=100&cursor=abc", VideoFilter(), Page(100, "abc")),
        ("?status=failed&limit=1", VideoFilter(VideoStatus.FAILED), Page(1, None)),
        ("?camera_id=Gate%203", VideoFilter(camera_id=CameraId("Gate 3")), Page(50, None)),
    ],
)
async def test_videos_are_listed_in_pages(edge: Edge, query: str, filter_: VideoFilter, page: Page) -> None:
    edge.answers["list_videos"] = VideoPage([video(), failed_video()], "next")

    async with edge.client() as client:
        response = await client.get(URL + query)

    assert edge.called("list_videos") == (EDITOR, filter_, page)
    assert [item["status"] for item in response.json()["items"]] == ["uploaded", "failed"]
    assert response.json()["next_cursor"] == "next"


@pytest.mark.parametrize(
    ("patch", "changes"),
    [
        ({}, VideoChanges(frozenset())),
        ({"title": "New"}, VideoChanges(frozenset({"title"}), title="New")),
        ({"description": None}, VideoChanges(frozenset({"description"}))),
        ({"camera_id": "gate-3"}, VideoChanges(frozenset({"camera_id"}), camera_id=CameraId("gate-3"))),
        ({"camera_id": None}, VideoChanges(frozenset({"camera_id"}))),
        (
            {"captured_at": "2026-05-01T06:00:00Z", "description": "x"},
            VideoChanges(
                frozenset({"captured_at", "description"}),
                description="x",
                captured_at=datetime(2026, 5, 1, 6, tzinfo=UTC),
            ),
        ),
    ],
)
async def test_a_patch_changes_what_it_names(edge: Edge, patch: dict[str, object], changes: VideoChanges) -> None:
    edge.answers["update_video"] = video()

    async with edge.client() as client:
        response = await client.patch(ONE, json=patch)

    assert response.status_code == 200
    assert edge.called("update_video") == (EDITOR, VIDEO_ID, changes)


async def test_a_deleted_video_leaves_no_body(edge: Edge) -> None:
    edge.answers["delete_video"] = None

    async with edge.client() as client:
        response = await client.delete(ONE)

    assert (response.status_code, response.content) == (204, b"")
    assert edge.called("delete_video") == (EDITOR, VIDEO_ID)
