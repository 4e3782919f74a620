"""The transition tables of video, job and segment cannot be bypassed."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.support.factories import make_job, make_segment, make_video
from vidintel.domain.analysis import JOB_TRANSITIONS, AnalysisJob, JobId, JobStage, JobStatus
from vidintel.domain.errors import DomainError, InvalidTransition, LeaseLost
from vidintel.domain.segment import SEGMENT_TRANSITIONS, Segment, SegmentStatus
from vidintel.domain.video import (
    VIDEO_TRANSITIONS,
    Failure,
    MediaInfo,
    StoredContent,
    Video,
    VideoStatus,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)
FAILURE = Failure("unreadable_video", "No.")
MEDIA = MediaInfo("mp4", "h264", 640, 360, 0, 2.0, 25.0, 50)


VIDEO_MOVES: Mapping[VideoStatus, list[Callable[[Video], None]]] = {
    VideoStatus.UPLOADED: [
        lambda v: v.attach_content(StoredContent("videos/x/source", 1, "0" * 64), NOW),
        lambda v: v.abandon_processing(NOW),
    ],
    VideoStatus.PROCESSING: [lambda v: v.begin_processing(NOW)],
    VideoStatus.COMPLETED: [lambda v: v.complete(JobId(uuid4()), NOW)],
    VideoStatus.FAILED: [lambda v: v.fail(FAILURE, NOW)],
}


@pytest.mark.parametrize("current", VideoStatus)
@pytest.mark.parametrize("target", VIDEO_MOVES)
def test_a_video_moves_exactly_where_its_table_says(current: VideoStatus, target: VideoStatus) -> None:
    for move in VIDEO_MOVES[target]:
        video = make_video(status=current)
        if target in VIDEO_TRANSITIONS[current]:
            move(video)
            assert video.status is target
        else:
            with pytest.raises(InvalidTransition) as caught:
                move(video)
            assert (caught.value.current, caught.value.target) == (current, target)
            assert video.status is current


def test_the_current_job_of_a_video_is_the_one_that_completed_it_last() -> None:
    first, second = JobId(uuid4()), JobId(uuid4())
    video = make_video(status=VideoStatus.PROCESSING)
    assert video.current_job_id is None

    video.complete(first, NOW)
    assert video.current_job_id == first
    video.begin_processing(NOW)
    video.fail(FAILURE, NOW)
    assert video.current_job_id == first
    video.begin_processing(NOW)
    video.complete(second, NOW)
    assert video.current_job_id == second


def test_a_video_that_cannot_be_completed_keeps_its_current_job() -> None:
    video = make_video(status=VideoStatus.FAILED)

    with pytest.raises(InvalidTransition):
        video.complete(JobId(uuid4()), NOW)
    assert video.current_job_id is None


@pytest.mark.parametrize("entity", [make_video(status=VideoStatus.PENDING), make_job(status=JobStatus.QUEUED)])
def test_a_status_cannot_be_assigned(entity: object) -> None:
    with pytest.raises(AttributeError):
        entity.status = "completed"  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", VideoStatus)
def test_media_is_described_only_while_processing(status: VideoStatus) -> None:
    video = make_video(status=status)
    if status is VideoStatus.PROCESSING:
        video.describe_media(MEDIA, NOW)
        assert video.media == MEDIA
    else:
        with pytest.raises(InvalidTransition):
            video.describe_media(MEDIA, NOW)


def test_analysing_again_forgets_the_former_failure() -> None:
    video = make_video(status=VideoStatus.PROCESSING)
    video.fail(FAILURE, NOW)
    assert video.failure == FAILURE

    video.begin_processing(NOW)

    assert video.failure is None


JOB_MOVES: Mapping[JobStatus, Callable[[AnalysisJob], None]] = {
    JobStatus.QUEUED: lambda j: j.retry(),
    JobStatus.FAILED: lambda j: j.fail(FAILURE, NOW),
    JobStatus.CANCELLED: lambda j: j.cancel(NOW),
}


@pytest.mark.parametrize("current", JobStatus)
@pytest.mark.parametrize("target", JOB_MOVES)
def test_a_job_moves_exactly_where_its_table_says(current: JobStatus, target: JobStatus) -> None:
    job = make_job(status=current)
    if target in JOB_TRANSITIONS[current]:
        JOB_MOVES[target](job)
        assert job.status is target
    else:
        with pytest.raises(InvalidTransition):
            JOB_MOVES[target](job)
        assert job.status is current


@pytest.mark.parametrize("status", [s for s in JobStatus if s.is_final])
def test_work_on_a_final_job_cannot_begin(status: JobStatus) -> None:
    job = make_job(status=status)

    with pytest.raises(LeaseLost):
        job.begin(job.stage, NOW)


def test_a_job_goes_through_its_stages_in_order() -> None:
    job = make_job(status=JobStatus.QUEUED)
    with pytest.raises(InvalidTransition):
        job.planned()
    job.begin(JobStage.PLAN, NOW)
    assert (job.status, job.started_at) == (JobStatus.RUNNING, NOW)
    for too_early in (job.all_segments_done, lambda: job.succeed(NOW)):
        with pytest.raises(InvalidTransition):
            too_early()
    job.planned()
    for not_now in (JobStage.PLAN, JobStage.FINISH):
        with pytest.raises(LeaseLost):
            job.begin(not_now, NOW)
    job.all_segments_done()
    job.begin(JobStage.FINISH, NOW + LEASE)
    job.succeed(NOW + LEASE)

    assert (job.status, job.started_at, job.finished_at) == (JobStatus.SUCCEEDED, NOW, NOW + LEASE)


def test_retrying_a_failed_job_forgets_the_failure_and_counts_the_run() -> None:
    job = make_job(status=JobStatus.RUNNING)
    job.fail(FAILURE, NOW)
    job.retry()

    assert (job.failure, job.finished_at, job.run_number, job.stage) == (None, None, 2, JobStage.PLAN)


SEGMENT_MOVES: Mapping[SegmentStatus, list[Callable[[Segment], object]]] = {
    SegmentStatus.PENDING: [lambda s: s.requeue()],
    SegmentStatus.DONE: [lambda s: s.complete(10)],
    SegmentStatus.DEAD: [lambda s: s.dead_letter(FAILURE)],
}


@pytest.mark.parametrize("current", SegmentStatus)
@pytest.mark.parametrize("target", SEGMENT_MOVES)
def test_a_segment_moves_exactly_where_its_table_says(current: SegmentStatus, target: SegmentStatus) -> None:
    for move in SEGMENT_MOVES[target]:
        segment = make_segment(status=current)
        if target in SEGMENT_TRANSITIONS[current]:
            move(segment)
            assert segment.status is target
        else:
            with pytest.raises(DomainError):
                move(segment)
            assert segment.status is current


def test_a_dead_segment_that_is_requeued_begins_anew() -> None:
    segment = make_segment(status=SegmentStatus.PENDING)
    segment.dead_letter(FAILURE)

    segment.requeue()

    assert segment.status is SegmentStatus.PENDING
    assert (segment.failure, segment.frames_done) == (None, 0)
