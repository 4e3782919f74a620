"""The transition tables of video, job and segment cannot be bypassed."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from vidintel.domain.analysis import JOB_TRANSITIONS, AnalysisJob, AnalysisSpec, JobId, JobStage, JobStatus, ModelRef
from vidintel.domain.errors import DomainError, InvalidTransition, LeaseLost
from vidintel.domain.identity import TenantId, UserId
from vidintel.domain.segment import SEGMENT_TRANSITIONS, Segment, SegmentId, SegmentSpan, SegmentStatus
from vidintel.domain.video import (
    VIDEO_TRANSITIONS,
    Failure,
    MediaInfo,
    SourceKind,
    StoredContent,
    Video,
    VideoId,
    VideoSource,
    VideoStatus,
)
from vidintel.domain.work import RetryPolicy, Work

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)
FAILURE = Failure("unreadable_video", "No.")
MEDIA = MediaInfo("mp4", "h264", 640, 360, 0, 2.0, 25.0, 50)
POLICY = RetryPolicy(max_attempts=2)


def a_video(status: VideoStatus) -> Video:
    return Video(
        id=VideoId(uuid4()),
        tenant_id=TenantId("org_1"),
        created_by=UserId("user_1"),
        source=VideoSource(SourceKind.UPLOAD, "a.mp4"),
        title="a",
        description=None,
        captured_at=None,
        camera_id=None,
        created_at=NOW,
        _updated_at=NOW,
        _status=status,
    )


def a_job(status: JobStatus, stage: JobStage = JobStage.PLAN) -> AnalysisJob:
    return AnalysisJob(
        id=JobId(uuid4()),
        tenant_id=TenantId("org_1"),
        video_id=VideoId(uuid4()),
        created_by=UserId("user_1"),
        spec=AnalysisSpec(model="m"),
        model=ModelRef("m", "1", "0" * 64),
        created_at=NOW,
        _work=Work(due_at=NOW),
        _status=status,
        _stage=stage,
    )


def a_segment(status: SegmentStatus) -> Segment:
    held = status is SegmentStatus.RUNNING
    work = Work(due_at=NOW + LEASE, attempts=1, token=1, owner="w") if held else Work(due_at=NOW)
    return Segment(
        id=SegmentId(uuid4()),
        job_id=JobId(uuid4()),
        tenant_id=TenantId("org_1"),
        span=SegmentSpan(0, 0.0, None, 0, 50, 10),
        _work=work,
        _status=status,
    )


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
        video = a_video(current)
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
    video = a_video(VideoStatus.PROCESSING)
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
    video = a_video(VideoStatus.FAILED)

    with pytest.raises(InvalidTransition):
        video.complete(JobId(uuid4()), NOW)
    assert video.current_job_id is None


@pytest.mark.parametrize("entity", [a_video(VideoStatus.PENDING), a_job(JobStatus.QUEUED)])
def test_a_status_cannot_be_assigned(entity: object) -> None:
    with pytest.raises(AttributeError):
        entity.status = "completed"  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", VideoStatus)
def test_media_is_described_only_while_processing(status: VideoStatus) -> None:
    video = a_video(status)
    if status is VideoStatus.PROCESSING:
        video.describe_media(MEDIA, NOW)
        assert video.media == MEDIA
    else:
        with pytest.raises(InvalidTransition):
            video.describe_media(MEDIA, NOW)


def test_analysing_again_forgets_the_former_failure() -> None:
    video = a_video(VideoStatus.PROCESSING)
    video.fail(FAILURE, NOW)
    assert video.failure == FAILURE

    video.begin_processing(NOW)

    assert video.failure is None


JOB_MOVES: Mapping[JobStatus, Callable[[AnalysisJob], None]] = {
    JobStatus.QUEUED: lambda j: j.retry(NOW),
    JobStatus.FAILED: lambda j: j.fail(FAILURE, NOW),
    JobStatus.CANCELLED: lambda j: j.cancel(NOW),
}


@pytest.mark.parametrize("current", JobStatus)
@pytest.mark.parametrize("target", JOB_MOVES)
def test_a_job_moves_exactly_where_its_table_says(current: JobStatus, target: JobStatus) -> None:
    job = a_job(current)
    if target in JOB_TRANSITIONS[current]:
        JOB_MOVES[target](job)
        assert job.status is target
    else:
        with pytest.raises(InvalidTransition):
            JOB_MOVES[target](job)
        assert job.status is current


@pytest.mark.parametrize("status", [s for s in JobStatus if s.is_final])
def test_a_final_job_cannot_be_claimed(status: JobStatus) -> None:
    with pytest.raises(LeaseLost):
        a_job(status).claim(JobStage.PLAN, "w", NOW, LEASE)


def test_a_job_goes_through_its_stages_in_order() -> None:
    job = a_job(JobStatus.QUEUED)
    token = job.claim(JobStage.PLAN, "w", NOW, LEASE)
    assert job.started_at == NOW
    with pytest.raises(LeaseLost):
        job.claim(JobStage.PLAN, "x", NOW, LEASE)
    with pytest.raises(InvalidTransition):
        job.succeed(token, NOW)
    job.planned(token, NOW)
    with pytest.raises(LeaseLost):
        job.claim(JobStage.FINISH, "w", NOW, LEASE)
    job.all_segments_done(NOW)
    token = job.claim(JobStage.FINISH, "w", NOW, LEASE)
    job.succeed(token, NOW)

    assert job.status is JobStatus.SUCCEEDED
    assert (job.started_at, job.finished_at, job.work.is_held) == (NOW, NOW, False)


def test_a_job_whose_planner_dies_each_time_runs_out_of_attempts() -> None:
    job = a_job(JobStatus.QUEUED)
    now, outcomes = NOW, []
    for _ in range(POLICY.max_attempts):
        job.claim(JobStage.PLAN, "w", now, LEASE)
        now += LEASE
        outcomes.append(job.expire(now, POLICY))
        now = max(now, job.work.due_at)

    assert outcomes == [True, False]


def test_retrying_a_failed_job_forgets_failure_and_attempts() -> None:
    job = a_job(JobStatus.RUNNING)
    job.fail(FAILURE, NOW)
    job.retry(NOW)

    assert (job.failure, job.finished_at, job.work.attempts, job.stage) == (None, None, 0, JobStage.PLAN)


SEGMENT_MOVES: Mapping[SegmentStatus, list[Callable[[Segment], object]]] = {
    SegmentStatus.RUNNING: [lambda s: s.claim("w", NOW, LEASE)],
    SegmentStatus.DONE: [lambda s: s.complete(s.work.token, 10, NOW)],
    SegmentStatus.DEAD: [lambda s: s.dead_letter(s.work.token, FAILURE, NOW)],
}


@pytest.mark.parametrize("current", SegmentStatus)
@pytest.mark.parametrize("target", SEGMENT_MOVES)
def test_a_segment_moves_exactly_where_its_table_says(current: SegmentStatus, target: SegmentStatus) -> None:
    for move in SEGMENT_MOVES[target]:
        segment = a_segment(current)
        if target in SEGMENT_TRANSITIONS[current]:
            move(segment)
            assert segment.status is target
        else:
            with pytest.raises(DomainError):
                move(segment)
            assert segment.status is current


@pytest.mark.parametrize(
    "move",
    [
        lambda s: s.revoke(NOW),
        lambda s: s.release(s.work.token, NOW),
        lambda s: s.retry_later(s.work.token, FAILURE, NOW, POLICY),
    ],
    ids=["revoke", "release", "retry_later"],
)
def test_a_running_segment_that_is_released_waits_again_and_fences_its_holder_off(
    move: Callable[[Segment], object],
) -> None:
    segment = a_segment(SegmentStatus.RUNNING)
    token = segment.work.token

    move(segment)

    assert (segment.status, segment.frames_done) == (SegmentStatus.PENDING, 0)
    with pytest.raises(LeaseLost):
        segment.complete(token, 10, NOW)


def test_a_segment_dies_when_its_attempts_are_used_up_and_can_be_revived() -> None:
    segment = a_segment(SegmentStatus.PENDING)
    lives = []
    for _ in range(POLICY.max_attempts):
        token = segment.claim("w", segment.work.due_at, LEASE)
        lives.append(segment.retry_later(token, FAILURE, segment.work.due_at, POLICY))

    assert lives == [True, False]
    assert (segment.status, segment.failure) == (SegmentStatus.DEAD, FAILURE)
    segment.requeue(NOW)
    assert (segment.status, segment.failure, segment.work.attempts) == (SegmentStatus.PENDING, None, 0)
