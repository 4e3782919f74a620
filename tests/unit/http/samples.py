"""Videos and jobs in every state an answer can show."""

from typing import Any
from uuid import UUID

from tests.unit.http.edge import EDITOR, ago
from vidintel.application.ports import JobProgress, JobReport
from vidintel.domain.analysis import AnalysisJob, AnalysisSpec, JobId, JobStage, JobStatus, ModelRef
from vidintel.domain.video import (
    Failure,
    MediaInfo,
    SourceKind,
    StoredContent,
    Video,
    VideoId,
    VideoSource,
    VideoStatus,
)

VIDEO_ID = VideoId(UUID("0b7c2f3e-6a0d-4d0f-9a53-0d3f5f0c9b11"))
JOB_ID = JobId(UUID("5e3a4b9c-4a63-4c86-8a4e-1b2f6f6e2c77"))
SHA256 = "ab" * 32
MEDIA = MediaInfo("mov,mp4,m4a,3gp,3g2,mj2", "h264", 1280, 720, 90, 12.0, 25.0, 300)
NO_PROGRESS = JobProgress(segments_total=0, segments_done=0, frames_total=0, frames_done=0)


def video(**changes: Any) -> Video:
    return Video(
        **{
            "id": VIDEO_ID,
            "tenant_id": EDITOR.tenant_id,
            "created_by": EDITOR.user_id,
            "source": VideoSource(SourceKind.UPLOAD, "gate.mp4"),
            "title": "Gate",
            "description": None,
            "captured_at": None,
            "camera_id": None,
            "created_at": ago(10),
            "_updated_at": ago(5),
            "_status": VideoStatus.UPLOADED,
            "_content": StoredContent("videos/secret-key/source", 1000, SHA256),
            **changes,
        }
    )


def failed_video() -> Video:
    return video(_status=VideoStatus.FAILED, _failure=Failure("no_frames", "No frame."), _media=MEDIA)


def job(**changes: Any) -> AnalysisJob:
    return AnalysisJob(
        **{
            "id": JOB_ID,
            "tenant_id": EDITOR.tenant_id,
            "video_id": VIDEO_ID,
            "created_by": EDITOR.user_id,
            "spec": AnalysisSpec("traffic"),
            "model": ModelRef("traffic", "1", SHA256),
            "created_at": ago(10),
            **changes,
        }
    )


def running(frames_done: int, frames_total: int, started_s_ago: float) -> JobReport:
    return JobReport(
        job(_status=JobStatus.RUNNING, _stage=JobStage.ANALYSE, _started_at=ago(started_s_ago)),
        JobProgress(segments_total=2, segments_done=1, frames_total=frames_total, frames_done=frames_done),
    )
