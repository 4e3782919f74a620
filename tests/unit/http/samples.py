"""Videos and jobs in every state an answer can show."""

from typing import Unpack
from uuid import UUID

from tests.support.factories import JobFactory, JobFields, VideoFactory, VideoFields, make_video
from tests.unit.http.edge import EDITOR, ago
from vidintel.application.ports import JobProgress, JobReport
from vidintel.domain.analysis import AnalysisJob, AnalysisSpec, JobId, JobStatus, ModelRef
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
VIDEO: VideoFields = {
    "video_id": VIDEO_ID,
    "tenant_id": EDITOR.tenant_id,
    "created_by": EDITOR.user_id,
    "source": VideoSource(SourceKind.UPLOAD, "gate.mp4"),
    "title": "Gate",
    "created_at": ago(10),
    "changed_at": ago(5),
    "content": StoredContent("videos/secret-key/source", 1000, SHA256),
    "media": MEDIA,
    "failure": Failure("no_frames", "No frame."),
}
JOB: JobFields = {
    "video": make_video(**VIDEO),
    "job_id": JOB_ID,
    "created_by": EDITOR.user_id,
    "created_at": ago(10),
    "spec": AnalysisSpec("traffic"),
    "model": ModelRef("traffic", "1", SHA256),
    "failure": Failure("no_frames", "No frame."),
}


def video(**fields: Unpack[VideoFields]) -> Video:
    """An uploaded video that nothing has analysed, unless ``fields`` say otherwise."""
    return VideoFactory.create(**{**VIDEO, **fields})


def probed_video(**fields: Unpack[VideoFields]) -> Video:
    """An uploaded video whose analysis was cancelled."""
    fields["status"] = VideoStatus.PROCESSING
    probed = video(**fields)
    probed.abandon_processing(ago(5))
    return probed


def failed_video() -> Video:
    return video(status=VideoStatus.FAILED)


def job(**fields: Unpack[JobFields]) -> AnalysisJob:
    """A queued job, unless ``fields`` say otherwise."""
    return JobFactory.create(**{**JOB, **fields})


def running(frames_done: int, frames_total: int, started_s_ago: float) -> JobReport:
    return JobReport(
        job(status=JobStatus.RUNNING, started_at=ago(started_s_ago)),
        JobProgress(segments_total=2, segments_done=1, frames_total=frames_total, frames_done=frames_done),
    )
