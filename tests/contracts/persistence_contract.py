"""What every `UnitOfWork` and its repositories do. A subclass per adapter gives the ``unit_of_work`` fixture."""

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.contracts.full import full_job, full_segments, full_video
from tests.contracts.stored import (
    frames_of,
    keep,
    reload_job,
    reload_segment,
    reload_video,
    state_of,
    with_current_job,
)
from tests.support.completeness import assert_complete
from tests.support.factories import (
    FAILURE,
    NOW,
    RESULTS,
    TENANT,
    make_frame,
    make_job,
    make_segment,
    make_span,
    make_video,
)
from vidintel.application.ports import JobProgress, Page, UnitOfWorkFactory, VideoFilter
from vidintel.domain.analysis import AnalysisSpec, JobId, JobStage, JobStatus
from vidintel.domain.errors import JobAlreadyActive, JobNotFound, LeaseLost, ValidationError, VideoNotFound
from vidintel.domain.identity import TenantId
from vidintel.domain.results import JobResults
from vidintel.domain.retention import RetentionRules
from vidintel.domain.segment import SegmentId, SegmentStatus
from vidintel.domain.video import CameraId, VideoId, VideoStatus

STRANGER = TenantId("org_stranger")
ELSEWHERE = timedelta(hours=2)


class VideoContract:
    @pytest.mark.parametrize("status", VideoStatus)
    async def test_a_video_is_read_back_as_it_was_in_every_state(
        self, unit_of_work: UnitOfWorkFactory, status: VideoStatus
    ) -> None:
        video = make_video(status=status)
        await keep(unit_of_work, *with_current_job(video))

        assert state_of(await reload_video(unit_of_work, video)) == state_of(video)

    async def test_every_field_of_a_video_is_read_back(self, unit_of_work: UnitOfWorkFactory) -> None:
        full = full_video()
        assert_complete(full)
        bare = make_video(status=VideoStatus.FAILED, media=None)
        await keep(unit_of_work, *with_current_job(full), bare)

        assert state_of(await reload_video(unit_of_work, full)) == state_of(full)
        assert state_of(await reload_video(unit_of_work, bare)) == state_of(bare)

    async def test_the_current_job_of_a_video_is_kept_while_another_runs(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video(status=VideoStatus.COMPLETED)
        await keep(unit_of_work, *with_current_job(video))
        async with unit_of_work() as uow:
            locked = await uow.videos.get_for_update(TENANT, video.id)
            assert locked is not None
            locked.begin_processing(NOW)
            await uow.videos.save(locked)
            await uow.jobs.add(make_job(video=video))
            await uow.commit()

        assert (await reload_video(unit_of_work, video)).current_job_id == video.current_job_id

    async def test_a_video_is_deleted_with_its_current_job(self, unit_of_work: UnitOfWorkFactory) -> None:
        video, other = (make_video(status=VideoStatus.COMPLETED) for _ in range(2))
        await keep(unit_of_work, *with_current_job(video), *with_current_job(other))

        async with unit_of_work() as uow:
            await uow.videos.delete(TENANT, video.id)
            await uow.commit()

        async with unit_of_work() as uow:
            assert await uow.videos.get(TENANT, video.id) is None
            assert video.current_job_id is not None
            assert await uow.jobs.peek(video.current_job_id) is None
        assert state_of(await reload_video(unit_of_work, other)) == state_of(other)

    async def test_times_come_back_in_utc(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video(captured_at=NOW - ELSEWHERE)
        await keep(unit_of_work, video)

        reloaded = await reload_video(unit_of_work, video)
        assert reloaded.captured_at is not None
        assert reloaded.created_at.utcoffset() == reloaded.captured_at.utcoffset() == timedelta(0)

    async def test_a_change_is_saved(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        await keep(unit_of_work, video)

        async with unit_of_work() as uow:
            locked = await uow.videos.get_for_update(video.tenant_id, video.id)
            assert locked is not None
            changed = frozenset({"title", "camera_id"})
            locked.edit(NOW + ELSEWHERE, fields=changed, title="Another", camera_id=CameraId("gate"))
            await uow.videos.save(locked)
            await uow.commit()

        assert state_of(await reload_video(unit_of_work, video)) == state_of(locked)

    async def test_an_entity_that_is_not_saved_is_not_changed(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video(title="Before")
        await keep(unit_of_work, video)

        async with unit_of_work() as uow:
            read = await uow.videos.get(video.tenant_id, video.id)
            assert read is not None
            read.edit(NOW, fields=frozenset({"title"}), title="After")
            await uow.commit()

        assert (await reload_video(unit_of_work, video)).title == "Before"

    async def test_a_video_that_is_gone_cannot_be_saved(self, unit_of_work: UnitOfWorkFactory) -> None:
        async with unit_of_work() as uow:
            with pytest.raises(VideoNotFound):
                await uow.videos.save(make_video())

    async def test_another_tenant_sees_no_video(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        await keep(unit_of_work, video)

        async with unit_of_work() as uow:
            await uow.videos.delete(STRANGER, video.id)
            assert await uow.videos.get(STRANGER, video.id) is None
            assert await uow.videos.get_for_update(STRANGER, video.id) is None
            assert await uow.videos.list(STRANGER, VideoFilter(), Page()) == ([], None)
            assert await uow.videos.get(TENANT, video.id) is not None

    async def test_deleting_a_video_takes_along_all_that_came_of_it(self, unit_of_work: UnitOfWorkFactory) -> None:
        video, other = make_video(), make_video()
        job, other_job = (make_job(video=each, status=JobStatus.RUNNING) for each in (video, other))
        segment, other_segment = make_segment(job=job), make_segment(job=other_job)
        await keep(unit_of_work, video, other, job, other_job, segment, other_segment)
        async with unit_of_work() as uow:
            for each, of in ((segment, video), (other_segment, other)):
                await uow.detections.add_all(each, of.id, [make_frame(0)])
            for each_job in (job, other_job):
                await uow.results.put(each_job, RESULTS)
            await uow.commit()

        async with unit_of_work() as uow:
            await uow.videos.delete(TENANT, video.id)
            await uow.commit()

        async with unit_of_work() as uow:
            assert await uow.videos.get(TENANT, video.id) is None
            assert await uow.jobs.peek(job.id) is None
            assert await uow.segments.peek(segment.id) is None
            assert await frames_of(uow, job) == []
            assert await uow.results.of_job(TENANT, job.id) == JobResults()
            assert await uow.jobs.peek(other_job.id) is not None
            assert await uow.segments.peek(other_segment.id) is not None
            assert len(await frames_of(uow, other_job)) == 1
            assert await uow.results.of_job(TENANT, other_job.id) == RESULTS

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
    async def test_pages_hold_every_video_once_newest_first(self, unit_of_work: UnitOfWorkFactory, limit: int) -> None:
        # Three at the same moment: the id breaks the tie.
        videos = [make_video(created_at=NOW + timedelta(microseconds=moment)) for moment in (0, 1, 1, 1, 2, 3, 4)]
        await keep(unit_of_work, *videos)

        seen: list[VideoId] = []
        page: Page | None = Page(limit=limit)
        async with unit_of_work() as uow:
            while page is not None:
                items, cursor = await uow.videos.list(TENANT, VideoFilter(), page)
                assert len(items) <= limit
                seen += [video.id for video in items]
                page = None if cursor is None else Page(limit=limit, cursor=cursor)

        newest = sorted(videos, key=lambda video: (video.created_at, video.id), reverse=True)
        assert seen == [video.id for video in newest]

    async def test_a_video_added_while_paging_moves_nothing(self, unit_of_work: UnitOfWorkFactory) -> None:
        old = [make_video(created_at=NOW + timedelta(seconds=second)) for second in range(4)]
        await keep(unit_of_work, *old)
        async with unit_of_work() as uow:
            first, cursor = await uow.videos.list(TENANT, VideoFilter(), Page(limit=2))
        await keep(unit_of_work, make_video(created_at=NOW + ELSEWHERE))
        async with unit_of_work() as uow:
            second, end = await uow.videos.list(TENANT, VideoFilter(), Page(limit=2, cursor=cursor))

        assert [video.id for video in (*first, *second)] == [video.id for video in reversed(old)]
        assert end is None

    async def test_the_list_can_be_limited_to_a_status(self, unit_of_work: UnitOfWorkFactory) -> None:
        videos = {status: make_video(status=status) for status in VideoStatus}
        for each in videos.values():
            await keep(unit_of_work, *with_current_job(each))

        async with unit_of_work() as uow:
            for status, video in videos.items():
                items, _ = await uow.videos.list(TENANT, VideoFilter(status=status), Page())
                assert [item.id for item in items] == [video.id]

    async def test_the_list_can_be_limited_to_a_camera(self, unit_of_work: UnitOfWorkFactory) -> None:
        gate, yard = CameraId("gate"), CameraId("yard")
        at_gate = [
            make_video(status=status, camera_id=gate, created_at=NOW + timedelta(seconds=second))
            for second, status in enumerate((VideoStatus.FAILED, VideoStatus.UPLOADED, VideoStatus.COMPLETED))
        ]
        theirs = make_video(tenant_id=STRANGER, camera_id=gate)
        for each in at_gate:
            await keep(unit_of_work, *with_current_job(each))
        await keep(unit_of_work, make_video(camera_id=yard), make_video(), theirs)

        async with unit_of_work() as uow:
            first, cursor = await uow.videos.list(TENANT, VideoFilter(camera_id=gate), Page(limit=2))
            rest, end = await uow.videos.list(TENANT, VideoFilter(camera_id=gate), Page(limit=2, cursor=cursor))
            failed, _ = await uow.videos.list(TENANT, VideoFilter(VideoStatus.FAILED, gate), Page())
            nowhere, _ = await uow.videos.list(TENANT, VideoFilter(camera_id=CameraId("GATE")), Page())

        assert [video.id for video in (*first, *rest)] == [video.id for video in reversed(at_gate)]
        assert end is None
        assert [video.id for video in failed] == [at_gate[0].id]
        assert nowhere == []

    @pytest.mark.parametrize(
        "cursor",
        [
            *("", "?", "bm8", "WzEsMl0", "W10", "ä", "bnVsbA", "WyIyMDI2LTA1LTAxIiwieCJd"),
            # A moment that is out of range in UTC.
            "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTIzOjU5IiwiMGI3YzJmM2UtNmEwZC00ZDBmLTlhNTMtMGQzZjVmMGM5YjExIl0",
        ],
    )
    async def test_a_bad_cursor_is_refused(self, unit_of_work: UnitOfWorkFactory, cursor: str) -> None:
        async with unit_of_work() as uow:
            with pytest.raises(ValidationError) as refused:
                await uow.videos.list(TENANT, VideoFilter(), Page(cursor=cursor))

        assert refused.value.field == "cursor"


class ExpiryContract:
    async def test_videos_get_the_time_at_which_the_rules_let_them_expire(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        mine, theirs, kept = (make_video(tenant_id=TenantId(name)) for name in ("org_mine", "org_theirs", "org_kept"))
        await keep(unit_of_work, mine, theirs, kept)
        rules = RetentionRules(timedelta(days=30), {theirs.tenant_id: timedelta(days=1.5), kept.tenant_id: None})

        async with unit_of_work() as uow:
            assert await uow.videos.align_expiry(rules, 100) == 2
            assert await uow.videos.align_expiry(rules, 100) == 0
            await uow.commit()

        for video in (mine, theirs, kept):
            aligned = await reload_video(unit_of_work, video)
            assert aligned.expires_at == rules.expires_at(video.tenant_id, video.created_at)
            assert aligned.updated_at == video.updated_at
        async with unit_of_work() as uow:
            assert await uow.videos.align_expiry(RetentionRules(), 100) == 2
            await uow.commit()
        assert (await reload_video(unit_of_work, mine)).expires_at is None

    async def test_not_more_than_asked_for_are_changed_at_once(self, unit_of_work: UnitOfWorkFactory) -> None:
        await keep(unit_of_work, *(make_video() for _ in range(5)))

        async with unit_of_work() as uow:
            changed = [await uow.videos.align_expiry(RetentionRules(ELSEWHERE), 2) for _ in range(4)]
        assert changed == [2, 2, 1, 0]

    async def test_videos_whose_time_is_over_are_found_the_longest_expired_first(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        late, early, soon, never = (make_video(expires_at=at) for at in (NOW, NOW - ELSEWHERE, NOW + ELSEWHERE, None))
        stranger = make_video(tenant_id=STRANGER, expires_at=NOW - ELSEWHERE / 2)
        await keep(unit_of_work, late, early, soon, never, stranger)

        async with unit_of_work() as uow:
            expired = await uow.videos.expired(NOW, 10)
            assert await uow.videos.expired(NOW, 1) == expired[:1]
        assert expired == [(video.tenant_id, video.id) for video in (early, stranger, late)]


class JobContract:
    @pytest.mark.parametrize("stage", JobStage)
    @pytest.mark.parametrize("status", JobStatus)
    async def test_a_job_is_read_back_as_it_was_in_every_state(
        self, unit_of_work: UnitOfWorkFactory, status: JobStatus, stage: JobStage
    ) -> None:
        video = make_video()
        job = make_job(video=video, status=status, stage=stage)
        await keep(unit_of_work, video, job)

        assert state_of(await reload_job(unit_of_work, job)) == state_of(job)

    async def test_every_field_of_a_job_is_read_back(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        full = full_job(video)
        assert_complete(full)
        await keep(unit_of_work, video, full)

        assert state_of(await reload_job(unit_of_work, full)) == state_of(full)

    @pytest.mark.parametrize(
        "spec",
        [AnalysisSpec(model="m"), AnalysisSpec(model="m", sample_fps=None)],
        ids=["defaults", "every frame"],
    )
    async def test_a_spec_that_leaves_fields_out_is_read_back(
        self, unit_of_work: UnitOfWorkFactory, spec: AnalysisSpec
    ) -> None:
        video = make_video()
        job = make_job(video=video, spec=spec)
        await keep(unit_of_work, video, job)

        assert (await reload_job(unit_of_work, job)).spec == spec

    async def test_a_change_of_a_job_is_saved(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video)
        await keep(unit_of_work, video, job)

        async with unit_of_work() as uow:
            locked = await uow.jobs.get_for_update(TENANT, job.id)
            assert locked is not None
            locked.begin(JobStage.PLAN, NOW)
            await uow.jobs.save(locked)
            await uow.commit()

        reloaded = await reload_job(unit_of_work, job)
        assert state_of(reloaded) == state_of(locked)
        assert reloaded.status is JobStatus.RUNNING

    async def test_a_job_that_is_gone_cannot_be_saved(self, unit_of_work: UnitOfWorkFactory) -> None:
        async with unit_of_work() as uow:
            with pytest.raises(JobNotFound):
                await uow.jobs.save(make_job())

    @pytest.mark.parametrize("first", [JobStatus.QUEUED, JobStatus.RUNNING])
    async def test_a_video_has_one_active_job(self, unit_of_work: UnitOfWorkFactory, first: JobStatus) -> None:
        video = make_video()
        await keep(unit_of_work, video, make_job(video=video, status=first))

        async with unit_of_work() as uow:
            with pytest.raises(JobAlreadyActive):
                await uow.jobs.add(make_job(video=video))

    async def test_a_job_cannot_come_back_while_another_is_active(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        failed = make_job(video=video, status=JobStatus.FAILED)
        await keep(unit_of_work, video, failed, make_job(video=video))

        async with unit_of_work() as uow:
            failed.retry()
            with pytest.raises(JobAlreadyActive):
                await uow.jobs.save(failed)

    @pytest.mark.parametrize("status", [status for status in JobStatus if status.is_final])
    async def test_a_video_may_be_analysed_again_once_its_job_ended(
        self, unit_of_work: UnitOfWorkFactory, status: JobStatus
    ) -> None:
        video = make_video()
        again = make_job(video=video)
        await keep(unit_of_work, video, make_job(video=video, status=status), again)

        assert (await reload_job(unit_of_work, again)).id == again.id

    async def test_another_tenant_sees_no_job(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.SUCCEEDED)
        await keep(unit_of_work, video, job, make_segment(job=job))

        async with unit_of_work() as uow:
            assert await uow.jobs.get(STRANGER, job.id) is None
            assert await uow.jobs.get_for_update(STRANGER, job.id) is None
            assert await uow.jobs.latest_of_video(STRANGER, video.id) is None
            assert await uow.jobs.list_of_video(STRANGER, video.id, Page()) == ([], None)
            assert await uow.jobs.progress(STRANGER, job.id) == JobProgress(0, 0, 0, 0)

    async def test_the_newest_job_is_found(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        statuses = [JobStatus.SUCCEEDED, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED]
        jobs = [
            make_job(video=video, status=status, created_at=NOW + timedelta(seconds=second))
            for second, status in enumerate(statuses)
        ]
        await keep(unit_of_work, video, *jobs)

        async with unit_of_work() as uow:
            newest = await uow.jobs.latest_of_video(TENANT, video.id)
            first, cursor = await uow.jobs.list_of_video(TENANT, video.id, Page(limit=3))
            second_page, end = await uow.jobs.list_of_video(TENANT, video.id, Page(limit=3, cursor=cursor))
        assert newest is not None
        assert newest.id == jobs[3].id
        assert [job.id for job in (*first, *second_page)] == [job.id for job in reversed(jobs)]
        assert end is None

    async def test_a_video_without_jobs_has_no_newest(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        await keep(unit_of_work, video)

        async with unit_of_work() as uow:
            assert await uow.jobs.latest_of_video(TENANT, video.id) is None

    async def test_progress_adds_up_the_segments(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.RUNNING)
        running = make_segment(job=job, index=1)
        done = make_segment(job=job, status=SegmentStatus.DONE)
        await keep(unit_of_work, video, job, done, running, make_segment(job=job, index=2))

        async with unit_of_work() as uow:
            await uow.segments.save_progress(running.id, 7)
            await uow.segments.save_progress(done.id, 7)
            assert await uow.jobs.progress(TENANT, job.id) == JobProgress(3, 1, 60, 27)

    async def test_progress_is_zero_before_the_job_is_planned(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video)
        await keep(unit_of_work, video, job)

        async with unit_of_work() as uow:
            assert await uow.jobs.progress(TENANT, job.id) == JobProgress(0, 0, 0, 0)

    async def test_a_retried_job_has_the_next_run_number(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.FAILED)
        job.retry()
        await keep(unit_of_work, video, job)

        assert (await reload_job(unit_of_work, job)).run_number == 2


class SegmentContract:
    async def test_the_shots_of_a_job_come_in_order_from_the_segments_that_have_some(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        video = make_video()
        job, other = (make_job(video=video, status=status) for status in (JobStatus.RUNNING, JobStatus.FAILED))
        done = [make_segment(job=job, index=index, status=SegmentStatus.DONE) for index in (2, 0)]
        pending = make_segment(job=job, index=1)
        await keep(unit_of_work, video, job, other, *done, pending, make_segment(job=other, status=SegmentStatus.DONE))

        async with unit_of_work() as uow:
            shots = await uow.segments.shots(job.id)
        assert shots == [done[1].shots, done[0].shots]

    @pytest.mark.parametrize("status", SegmentStatus)
    async def test_a_segment_is_read_back_as_it_was_in_every_state(
        self, unit_of_work: UnitOfWorkFactory, status: SegmentStatus
    ) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.RUNNING)
        segment = make_segment(job=job, status=status, span=make_span(3, last=True))
        await keep(unit_of_work, video, job, segment)

        assert state_of(await reload_segment(unit_of_work, segment)) == state_of(segment)

    async def test_every_field_of_a_segment_is_read_back(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.RUNNING)
        full = full_segments(job)
        assert_complete(*full)
        await keep(unit_of_work, video, job, *full)

        for segment in full:
            assert state_of(await reload_segment(unit_of_work, segment)) == state_of(segment)

    async def test_a_dead_letter_is_saved(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.RUNNING)
        segment = make_segment(job=job)
        await keep(unit_of_work, video, job, segment)

        async with unit_of_work() as uow:
            locked = await uow.segments.get_for_update(segment.id)
            assert locked is not None
            locked.dead_letter(FAILURE)
            await uow.segments.save(locked)
            await uow.commit()

        reloaded = await reload_segment(unit_of_work, segment)
        assert state_of(reloaded) == state_of(locked)
        assert reloaded.failure == FAILURE

    async def test_the_warnings_of_a_job_come_by_segment(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.RUNNING)
        segments = [make_segment(job=job, index=index, status=SegmentStatus.DONE) for index in range(3)]
        await keep(unit_of_work, video, job, *reversed(segments), make_segment(job=job, index=3))

        async with unit_of_work() as uow:
            found = await uow.segments.warnings(job.id)
            assert await uow.segments.warnings(JobId(uuid4())) == []

        assert [warning.at_s for warning in found] == [0.0, 10.0, 20.0]
        assert tuple(found[:1]) == segments[0].warnings

    async def test_a_segment_that_is_gone_cannot_be_saved(self, unit_of_work: UnitOfWorkFactory) -> None:
        async with unit_of_work() as uow:
            assert await uow.segments.get_for_update(SegmentId(uuid4())) is None
            with pytest.raises(LeaseLost):
                await uow.segments.save(make_segment())

    async def test_segments_of_a_job_are_counted_and_listed_by_index(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.RUNNING)
        statuses = [SegmentStatus.PENDING, SegmentStatus.DONE, SegmentStatus.DEAD, SegmentStatus.PENDING]
        segments = [make_segment(job=job, index=index, status=status) for index, status in enumerate(statuses)]
        await keep(unit_of_work, video, job, *reversed(segments))

        async with unit_of_work() as uow:
            await uow.segments.add_all([])
            pending = await uow.segments.of_job(job.id, SegmentStatus.PENDING)
            assert [segment.id for segment in pending] == [segments[0].id, segments[3].id]
            assert await uow.segments.of_job(JobId(uuid4()), SegmentStatus.DEAD) == []
            assert await uow.segments.count(job.id) == 4
            assert await uow.segments.count_unfinished(job.id) == 3
            assert await uow.segments.count(JobId(uuid4())) == 0
