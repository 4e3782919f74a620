"""What all `VideoReads` do: they say what the repositories say. A subclass per adapter gives the ``reads`` fixture."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.contracts.stored import keep, state_of, with_current_job
from tests.support.factories import FULL_SPEC, NOW, TENANT, make_job, make_segment, make_video
from vidintel.application.ports import JobProgress, UnitOfWorkFactory, VideoReads
from vidintel.domain.analysis import JobId, JobStatus
from vidintel.domain.identity import TenantId
from vidintel.domain.segment import SegmentStatus
from vidintel.domain.video import CameraId, VideoId, VideoStatus

STRANGER = TenantId("org_other")


class VideoReadsContract:
    @pytest.mark.parametrize("status", VideoStatus)
    async def test_a_video_is_read_with_all_its_fields(
        self, unit_of_work: UnitOfWorkFactory, reads: VideoReads, status: VideoStatus
    ) -> None:
        video = make_video(
            status=status,
            description="Süd",
            captured_at=NOW - timedelta(microseconds=1),
            camera_id=CameraId("Tor 3"),
        )
        await keep(unit_of_work, *with_current_job(video))

        report = await reads.video(TENANT, video.id)

        assert report is not None
        assert state_of(report.video) == state_of(video)
        assert (None if report.job is None else report.job.job.id) == video.current_job_id

    @pytest.mark.parametrize("status", JobStatus)
    async def test_a_job_is_read_with_all_its_fields(
        self, unit_of_work: UnitOfWorkFactory, reads: VideoReads, status: JobStatus
    ) -> None:
        video = make_video()
        job = make_job(video=video, status=status, spec=FULL_SPEC)
        await keep(unit_of_work, video, job)

        report = await reads.job(TENANT, job.id)
        of_video = await reads.video(TENANT, video.id)

        assert report is not None
        assert of_video is not None
        assert of_video.job is not None
        assert state_of(report.job) == state_of(of_video.job.job) == state_of(job)
        assert report.progress == of_video.job.progress == JobProgress(0, 0, 0, 0)

    async def test_the_newest_job_and_its_progress_come_with_the_video(
        self, unit_of_work: UnitOfWorkFactory, reads: VideoReads
    ) -> None:
        video, other = make_video(), make_video()
        older = make_job(video=video, status=JobStatus.SUCCEEDED, created_at=NOW)
        newer = make_job(video=video, status=JobStatus.RUNNING, created_at=NOW + timedelta(seconds=1))
        await keep(unit_of_work, video, other, older, newer, make_segment(job=older, status=SegmentStatus.DONE))
        segments = [make_segment(job=newer, status=SegmentStatus.DONE), make_segment(job=newer, index=1)]
        await keep(unit_of_work, *segments)

        async with unit_of_work() as uow:
            expected = await uow.jobs.progress(TENANT, newer.id)
        found, alone = await asyncio.gather(reads.video(TENANT, video.id), reads.video(TENANT, other.id))

        assert found is not None
        assert found.job is not None
        assert (found.job.job.id, found.job.progress) == (newer.id, expected)
        assert expected.segments_done == 1
        assert alone is not None
        assert alone.job is None

    async def test_another_tenant_finds_nothing_even_when_asked_for_at_the_same_time(
        self, unit_of_work: UnitOfWorkFactory, reads: VideoReads
    ) -> None:
        video = make_video()
        job = make_job(video=video)
        await keep(unit_of_work, video, job)

        ours, theirs, nobodys = await asyncio.gather(
            reads.video(TENANT, video.id), reads.video(STRANGER, video.id), reads.video(TENANT, VideoId(uuid4()))
        )
        our_job, their_job, no_job = await asyncio.gather(
            reads.job(TENANT, job.id), reads.job(STRANGER, job.id), reads.job(TENANT, JobId(uuid4()))
        )

        assert (ours is None, theirs, nobodys) == (False, None, None)
        assert await reads.video(STRANGER, video.id) is None
        assert (our_job is None, their_job, no_job) == (False, None, None)
