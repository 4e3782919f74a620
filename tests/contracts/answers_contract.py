"""What every `UnitOfWork` does with detections, results, objects to delete, due work, and its transaction."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.full import full_frame, full_snapshot, full_track
from tests.contracts.stored import frames_of, keep
from tests.support.completeness import assert_complete
from tests.support.factories import (
    NOW,
    SHA256,
    TENANT,
    make_detection,
    make_frame,
    make_job,
    make_segment,
    make_track,
    make_video,
)
from vidintel.application.ports import (
    DetectionFilter,
    Page,
    Snapshot,
    TrackFilter,
    UnitOfWork,
    UnitOfWorkFactory,
)
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.detection import BoundingBox, FrameDetections
from vidintel.domain.errors import ValidationError
from vidintel.domain.identity import TenantId
from vidintel.domain.segment import SegmentSpan
from vidintel.domain.tracking import Track, TrackedFrame
from vidintel.domain.video import StoredContent, Video

STRANGER = TenantId("org_stranger")
LATER = NOW + timedelta(minutes=5)


async def analysed(unit_of_work: UnitOfWorkFactory, frames: Sequence[FrameDetections]) -> tuple[Video, AnalysisJob]:
    """A video whose job found ``frames``."""
    video = make_video()
    job = make_job(video=video, status=JobStatus.RUNNING)
    segment = make_segment(job=job)
    await keep(unit_of_work, video, job, segment)
    async with unit_of_work() as uow:
        count = await uow.detections.add_all(segment, video.id, iter(frames))
        await uow.commit()
    assert count == sum(len(frame.detections) for frame in frames)
    return video, job


class DetectionContract:
    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_frames_are_read_whole_and_in_presentation_order(
        self, unit_of_work: UnitOfWorkFactory, limit: int
    ) -> None:
        frames = [make_frame(12, "car", "truck"), make_frame(3, "person"), make_frame(7)]
        _, job = await analysed(unit_of_work, [*frames, FrameDetections(9, 0.3, ())])

        async with unit_of_work() as uow:
            read = await frames_of(uow, job, limit)
        assert read == sorted(frames, key=lambda frame: frame.frame)

    async def test_every_field_of_a_frame_and_its_detections_is_read_back(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        full = full_frame()
        assert_complete(full)
        _, job = await analysed(unit_of_work, [full])

        async with unit_of_work() as uow:
            assert await frames_of(uow, job) == [full]

    async def test_frames_are_read_some_at_a_time(self, unit_of_work: UnitOfWorkFactory) -> None:
        _, job = await analysed(unit_of_work, [make_frame(number, "car", "car") for number in range(9)])

        async with unit_of_work() as uow:
            assert [frame.frame for frame in await uow.detections.frames(job.id, after=3, limit=4)] == [4, 5]
            assert await uow.detections.frames(job.id, after=8, limit=4) == []

    # Each example adds rows of its own, and each subclass runs the examples on a database of its own.
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(edges=st.lists(st.floats(0, 1), min_size=4, max_size=4), confidence=st.floats(0, 1))
    async def test_any_box_stays_a_box(
        self, unit_of_work: UnitOfWorkFactory, edges: list[float], confidence: float
    ) -> None:
        x1, x2 = sorted(edges[:2])
        y1, y2 = sorted(edges[2:])
        seen = make_detection(confidence=confidence, box=BoundingBox(x1, y1, x2, y2))
        _, job = await analysed(unit_of_work, [FrameDetections(0, 0.0, (seen,))])

        async with unit_of_work() as uow:
            ((row,), _) = await uow.detections.list(TENANT, job.id, DetectionFilter(), Page())
        assert (row.box.x1, row.box.y1, row.box.x2, row.box.y2) == pytest.approx((x1, y1, x2, y2), abs=1e-6)
        assert row.confidence == pytest.approx(confidence, abs=1e-6)

    @pytest.mark.parametrize("limit", [1, 2, 5, 100])
    async def test_pages_hold_every_detection_once_by_frame_and_position(
        self, unit_of_work: UnitOfWorkFactory, limit: int
    ) -> None:
        frames = [make_frame(4, "car", "truck", "person"), make_frame(2, "car", "car"), make_frame(9)]
        _, job = await analysed(unit_of_work, frames)

        seen: list[tuple[int, str]] = []
        page: Page | None = Page(limit=limit)
        async with unit_of_work() as uow:
            while page is not None:
                items, cursor = await uow.detections.list(TENANT, job.id, DetectionFilter(), page)
                assert len(items) <= limit
                seen += [(row.frame, row.label) for row in items]
                page = None if cursor is None else Page(limit=limit, cursor=cursor)
        assert seen == [(2, "car"), (2, "car"), (4, "car"), (4, "truck"), (4, "person"), (9, "car")]

    @pytest.mark.parametrize(
        ("filter_", "frames"),
        [
            (DetectionFilter(), [0, 30, 30, 60]),
            (DetectionFilter(label="truck"), [30]),
            (DetectionFilter(label="tru"), []),
            (DetectionFilter(label="\x00"), []),
            (DetectionFilter(min_confidence=0.5), [0, 30, 30]),
            (DetectionFilter(min_confidence=0.875), [0, 30, 30]),
            (DetectionFilter(from_s=1.0), [30, 30, 60]),
            (DetectionFilter(to_s=1.0), [0]),
            (DetectionFilter(from_s=1.0, to_s=2.0, label="car"), [30]),
        ],
    )
    async def test_filters_are_combined(
        self, unit_of_work: UnitOfWorkFactory, filter_: DetectionFilter, frames: list[int]
    ) -> None:
        faint = FrameDetections(60, 2.0, (make_detection(confidence=0.25),))
        _, job = await analysed(unit_of_work, [make_frame(0), make_frame(30, "car", "truck"), faint])

        async with unit_of_work() as uow:
            items, cursor = await uow.detections.list(TENANT, job.id, filter_, Page())
        assert [row.frame for row in items] == frames
        assert cursor is None

    @pytest.mark.parametrize(
        "cursor", ["", "%%", "WzEsIngiXQ", "Wy0xLDBd", "WzEuNSwwXQ", "WzQyOTQ5NjcyOTYsMF0", "W3RydWUsMF0"]
    )
    async def test_a_bad_cursor_is_refused(self, unit_of_work: UnitOfWorkFactory, cursor: str) -> None:
        _, job = await analysed(unit_of_work, [])

        async with unit_of_work() as uow:
            with pytest.raises(ValidationError) as refused:
                await uow.detections.list(TENANT, job.id, DetectionFilter(), Page(cursor=cursor))
        assert refused.value.field == "cursor"

    @pytest.mark.parametrize(
        ("time_s", "frame"), [(-5.0, 0), (0.0, 0), (0.9, 0), (1.0, 0), (1.1, 60), (2.0, 60), (99.0, 150)]
    )
    async def test_the_nearest_frame_with_detections_is_found(
        self, unit_of_work: UnitOfWorkFactory, time_s: float, frame: int
    ) -> None:
        frames = {number: make_frame(number, "car", "person") for number in (0, 60, 150)}
        _, job = await analysed(unit_of_work, list(frames.values()))

        async with unit_of_work() as uow:
            assert await uow.detections.at(TENANT, job.id, time_s) == TrackedFrame(frames[frame], (None, None))

    @pytest.mark.parametrize(
        ("from_s", "to_s", "frames", "nearest"),
        [
            (0.0, 9.98, [0, 299], 0),
            (9.97, 10.0, [], 299),
            (9.99, None, [300, 700], 300),
            (10.01, 23.0, [], 300),
            (18.0, 24.0, [700], 700),
            (-3.0, 10.001, [0, 299, 300], 0),
        ],
    )
    async def test_moments_are_found_across_segments(
        self, unit_of_work: UnitOfWorkFactory, from_s: float, to_s: float | None, frames: list[int], nearest: int
    ) -> None:
        video = make_video()
        job = make_job(video=video, status=JobStatus.RUNNING)
        spans = (
            SegmentSpan(0, -0.2, 9.98, 0, 300, 50),
            SegmentSpan(1, 9.98, 19.98, 300, 300, 50),
            SegmentSpan(2, 19.98, None, 600, 300, 50),
        )
        segments = [make_segment(job=job, span=span) for span in spans]
        await keep(unit_of_work, video, job, *segments)
        async with unit_of_work() as uow:
            for segment, seen in zip(segments, ([0, 299], [300], [700]), strict=True):
                await uow.detections.add_all(segment, video.id, [make_frame(number) for number in seen])
            await uow.commit()

        async with unit_of_work() as uow:
            found, _ = await uow.detections.list(TENANT, job.id, DetectionFilter(from_s=from_s, to_s=to_s), Page())
            near = await uow.detections.at(TENANT, job.id, from_s)
        assert [row.frame for row in found] == frames
        assert near is not None
        assert near.frame.frame == nearest

    async def test_what_is_fainter_than_wanted_is_not_near(self, unit_of_work: UnitOfWorkFactory) -> None:
        faint, sure = make_detection("person", 0.125), make_detection()
        frames = [FrameDetections(0, 0.0, (faint, sure, faint)), FrameDetections(30, 1.0, (faint,))]
        _, job = await analysed(unit_of_work, frames)

        async with unit_of_work() as uow:
            near = await uow.detections.at(TENANT, job.id, 1.0, min_confidence=0.5)
        assert near == TrackedFrame(FrameDetections(0, 0.0, (sure,)), (None,))

    async def test_nothing_is_near_where_nothing_was_seen(self, unit_of_work: UnitOfWorkFactory) -> None:
        _, job = await analysed(unit_of_work, [])

        async with unit_of_work() as uow:
            assert await uow.detections.at(TENANT, job.id, 1.0) is None

    async def test_another_tenant_sees_no_detection(self, unit_of_work: UnitOfWorkFactory) -> None:
        _, job = await analysed(unit_of_work, [make_frame(0)])

        async with unit_of_work() as uow:
            assert await uow.detections.list(STRANGER, job.id, DetectionFilter(), Page()) == ([], None)
            assert await uow.detections.at(STRANGER, job.id, 0.0) is None

    async def test_detections_of_a_block_that_does_not_commit_are_gone(self, unit_of_work: UnitOfWorkFactory) -> None:
        video, job = await analysed(unit_of_work, [])
        async with unit_of_work() as uow:
            await uow.detections.add_all(make_segment(job=job), video.id, [make_frame(0)])

        async with unit_of_work() as uow:
            assert await frames_of(uow, job) == []


class TrackContract:
    async def test_nothing_of_what_is_staged_shows_before_it_is_published(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        _, job = await analysed(unit_of_work, [make_frame(0)])
        async with unit_of_work() as uow:
            await uow.tracks.stage([TrackedFrame(make_frame(0), (1,))], [make_track(1)])
            await uow.commit()

        assert await tracks_of(unit_of_work, job) == []
        assert await track_ids_of(unit_of_work, job) == [None]

    async def test_every_field_of_a_track_is_read_back(self, unit_of_work: UnitOfWorkFactory) -> None:
        full = full_track()
        assert_complete(full)
        job = await published(unit_of_work, [full])

        assert await tracks_of(unit_of_work, job) == [full]

    async def test_tracks_are_published_with_the_detections_they_are_made_of(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        frames = [make_frame(0, "car", "truck", "person"), make_frame(7), make_frame(9, "car", "car")]
        _, job = await analysed(unit_of_work, frames)
        _, other = await analysed(unit_of_work, frames)
        tracks = [make_track(1), make_track(2, "truck", path=5)]
        ids = ((2, None, 1), (None,), (1, 2))
        async with unit_of_work() as uow:
            for frame, of_frame in zip(frames, ids, strict=True):
                await uow.tracks.stage([TrackedFrame(frame, of_frame)], [])
            await uow.tracks.stage([], tracks)
            await uow.tracks.publish(job)
            await uow.commit()

        assert await tracks_of(unit_of_work, job) == tracks
        assert await track_ids_of(unit_of_work, job) == [2, None, 1, None, 1, 2]
        assert await tracks_of(unit_of_work, other) == []
        assert await track_ids_of(unit_of_work, other) == [None] * 6
        async with unit_of_work() as uow:
            assert await uow.tracks.get(TENANT, job.id, 2) == tracks[1]
            assert await uow.tracks.get(TENANT, job.id, 3) is None
            assert await uow.tracks.get(TENANT, other.id, 2) is None
            assert await uow.detections.at(TENANT, job.id, 0.0) == TrackedFrame(frames[0], (2, None, 1))

    async def test_publishing_again_replaces_everything(self, unit_of_work: UnitOfWorkFactory) -> None:
        frames = [make_frame(0), make_frame(1)]
        _, job = await analysed(unit_of_work, frames)
        for ids, track_id in (((1, 1), 1), ((None, 2), 2)):
            async with unit_of_work() as uow:
                tracked = [TrackedFrame(frame, (of,)) for frame, of in zip(frames, ids, strict=True)]
                await uow.tracks.stage(tracked, [make_track(track_id)])
                await uow.tracks.publish(job)
                await uow.commit()

        assert await tracks_of(unit_of_work, job) == [make_track(2)]
        assert await track_ids_of(unit_of_work, job) == [None, 2]

    async def test_a_job_may_have_no_tracks(self, unit_of_work: UnitOfWorkFactory) -> None:
        _, job = await analysed(unit_of_work, [make_frame(0)])
        async with unit_of_work() as uow:
            await uow.tracks.publish(job)
            await uow.commit()

        assert await tracks_of(unit_of_work, job) == []

    async def test_what_is_published_without_commit_is_gone(self, unit_of_work: UnitOfWorkFactory) -> None:
        _, job = await analysed(unit_of_work, [make_frame(0)])
        async with unit_of_work() as uow:
            await uow.tracks.stage([TrackedFrame(make_frame(0), (1,))], [make_track(1)])
            await uow.tracks.publish(job)

        assert await tracks_of(unit_of_work, job) == []
        assert await track_ids_of(unit_of_work, job) == [None]

    @pytest.mark.parametrize("limit", [1, 2, 50])
    async def test_pages_hold_every_track_once_by_id(self, unit_of_work: UnitOfWorkFactory, limit: int) -> None:
        tracks = [make_track(number) for number in (1, 2, 3, 11)]
        job = await published(unit_of_work, [tracks[2], tracks[0], tracks[3], tracks[1]])

        assert await tracks_of(unit_of_work, job, limit=limit) == tracks

    @pytest.mark.parametrize(
        ("filter_", "ids"),
        [
            (TrackFilter(), [1, 2, 3]),
            (TrackFilter(label="truck"), [2]),
            (TrackFilter(label="\x00"), []),
            (TrackFilter(from_s=2.0), [2, 3]),
            (TrackFilter(from_s=2.5), [3]),
            (TrackFilter(to_s=1.0), [1]),
            (TrackFilter(from_s=1.0, to_s=2.0), [1, 2]),
            (TrackFilter(from_s=1.5, to_s=1.5), []),
            (TrackFilter(from_s=2.0, to_s=1.0), []),
            (TrackFilter(min_duration_s=1.5), [3]),
            (TrackFilter(min_duration_s=3.28), [3]),  # which is less than 8.36 - 5.08 in floating point
            (TrackFilter(min_duration_s=3.29), []),
            (TrackFilter(label="car", min_duration_s=1.0, to_s=9), [1, 3]),
        ],
    )
    async def test_tracks_are_filtered(
        self, unit_of_work: UnitOfWorkFactory, filter_: TrackFilter, ids: list[int]
    ) -> None:
        tracks = [
            make_track(1, "car", 0.0, 1.0),
            make_track(2, "truck", 1.0, 2.0),
            make_track(3, "car", 5.08, 8.36),
        ]
        job = await published(unit_of_work, tracks)

        async with unit_of_work() as uow:
            items, cursor = await uow.tracks.list(TENANT, job.id, filter_, Page())
        assert ([track.track_id for track in items], cursor) == (ids, None)

    @pytest.mark.parametrize("cursor", ["", "%%", "WzEsMl0", "WyJ0cmFjayIsLTFd", "WyJ0cmFjayIsInh4Il0"])
    async def test_a_bad_cursor_is_refused(self, unit_of_work: UnitOfWorkFactory, cursor: str) -> None:
        _, job = await analysed(unit_of_work, [])

        async with unit_of_work() as uow:
            with pytest.raises(ValidationError) as refused:
                await uow.tracks.list(TENANT, job.id, TrackFilter(), Page(cursor=cursor))
        assert refused.value.field == "cursor"

    async def test_another_tenant_sees_no_track(self, unit_of_work: UnitOfWorkFactory) -> None:
        job = await published(unit_of_work, [make_track(1)])

        async with unit_of_work() as uow:
            assert await uow.tracks.list(STRANGER, job.id, TrackFilter(), Page()) == ([], None)
            assert await uow.tracks.get(STRANGER, job.id, 1) is None

    async def test_deleting_the_video_takes_its_tracks_along(self, unit_of_work: UnitOfWorkFactory) -> None:
        job = await published(unit_of_work, [make_track(1)])
        async with unit_of_work() as uow:
            await uow.videos.delete(TENANT, job.video_id)
            await uow.commit()

        assert await tracks_of(unit_of_work, job) == []


async def published(unit_of_work: UnitOfWorkFactory, tracks: Sequence[Track]) -> AnalysisJob:
    _, job = await analysed(unit_of_work, [])
    async with unit_of_work() as uow:
        await uow.tracks.stage([], tracks)
        await uow.tracks.publish(job)
        await uow.commit()
    return job


async def tracks_of(unit_of_work: UnitOfWorkFactory, job: AnalysisJob, *, limit: int = 50) -> list[Track]:
    found: list[Track] = []
    page: Page | None = Page(limit=limit)
    async with unit_of_work() as uow:
        while page is not None:
            items, cursor = await uow.tracks.list(TENANT, job.id, TrackFilter(), page)
            assert len(items) <= limit
            found += items
            page = None if cursor is None else Page(limit=limit, cursor=cursor)
    return found


async def track_ids_of(unit_of_work: UnitOfWorkFactory, job: AnalysisJob) -> list[int | None]:
    async with unit_of_work() as uow:
        items, _ = await uow.detections.list(TENANT, job.id, DetectionFilter(), Page(limit=10_000))
    return [item.track_id for item in items]


class SnapshotContract:
    async def test_every_field_of_a_snapshot_is_read_back(self, unit_of_work: UnitOfWorkFactory) -> None:
        full = full_snapshot()
        assert_complete(full)
        _, job = await analysed(unit_of_work, [])
        async with unit_of_work() as uow:
            await uow.snapshots.put_all(job, [full])
            await uow.commit()

        async with unit_of_work() as uow:
            assert await uow.snapshots.get(TENANT, job.id, full.name) == full

    async def test_pictures_are_read_back_by_name_and_replaced(self, unit_of_work: UnitOfWorkFactory) -> None:
        _, job = await analysed(unit_of_work, [])
        poster, shot, newer = (Snapshot(name, StoredContent(f"k/{name}", 2**33, SHA256)) for name in ("a", "b", "c"))
        for pictures in ([poster, shot], [shot, newer]):
            async with unit_of_work() as uow:
                await uow.snapshots.put_all(job, pictures)
                await uow.commit()

        async with unit_of_work() as uow:
            assert await uow.snapshots.get(TENANT, job.id, "a") is None
            assert await uow.snapshots.get(TENANT, job.id, "b") == shot
            assert await uow.snapshots.get(TENANT, job.id, "c") == newer
            assert await uow.snapshots.get(STRANGER, job.id, "b") is None
            assert await uow.snapshots.keys_of_video(TENANT, job.video_id) == ["k/b", "k/c"]
            assert await uow.snapshots.keys_of_video(STRANGER, job.video_id) == []

    async def test_pictures_go_with_their_video(self, unit_of_work: UnitOfWorkFactory) -> None:
        video, job = await analysed(unit_of_work, [])
        async with unit_of_work() as uow:
            await uow.snapshots.put_all(job, [])
            await uow.snapshots.put_all(job, [Snapshot("a", StoredContent("k/a", 1, SHA256))])
            await uow.videos.delete(TENANT, video.id)
            await uow.commit()

        async with unit_of_work() as uow:
            assert await uow.snapshots.get(TENANT, job.id, "a") is None


class ObjectDeletionContract:
    async def test_objects_are_due_in_order_until_they_are_forgotten(self, unit_of_work: UnitOfWorkFactory) -> None:
        async with unit_of_work() as uow:
            for second, key in enumerate(("b", "a", "c")):
                await uow.object_deletions.schedule(key, NOW + timedelta(seconds=second))
            await uow.object_deletions.schedule("b", NOW + timedelta(seconds=1))
            await uow.commit()

        async with unit_of_work() as uow:
            assert await uow.object_deletions.take_due(NOW, 10) == []
            assert await uow.object_deletions.forget("c")
            assert not await uow.object_deletions.forget("c")
            assert await uow.object_deletions.take_due(NOW + timedelta(seconds=9), 1) == ["a"]
            assert await uow.object_deletions.take_due(NOW + timedelta(seconds=9), 10) == ["b"]

    async def test_an_object_that_was_taken_to_be_removed_cannot_be_kept_any_more(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        async with unit_of_work() as uow:
            await uow.object_deletions.schedule("a", NOW)
            assert await uow.object_deletions.take_due(NOW, 1) == ["a"]
            await uow.commit()

        async with unit_of_work() as uow:
            assert not await uow.object_deletions.forget("a")
            await uow.object_deletions.schedule("a", NOW)
            assert not await uow.object_deletions.forget("a")
            assert await uow.object_deletions.take_due(NOW, 1) == ["a"]

    async def test_an_object_that_was_not_removed_is_due_again_later_and_later(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        async with unit_of_work() as uow:
            await uow.object_deletions.schedule("a", NOW)
            now = NOW
            for minutes in (*(2**number for number in range(11)), 1024):
                assert await uow.object_deletions.take_due(now, 1) == ["a"]
                now += timedelta(minutes=minutes)
                assert await uow.object_deletions.take_due(now - timedelta(seconds=1), 1) == []

    async def test_removed_objects_are_off_the_list(self, unit_of_work: UnitOfWorkFactory) -> None:
        async with unit_of_work() as uow:
            for key in ("a", "b"):
                await uow.object_deletions.schedule(key, NOW)
            await uow.object_deletions.removed(await uow.object_deletions.take_due(NOW, 1))
            await uow.commit()

        async with unit_of_work() as uow:
            assert await uow.object_deletions.take_due(LATER, 10) == ["b"]


class TransactionContract:
    async def test_leaving_without_commit_rolls_back(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        async with unit_of_work() as uow:
            await self._write(uow, video)
            assert await uow.videos.get(TENANT, video.id) is not None

        await self._assert_nothing_stayed(unit_of_work, video)

    async def test_an_exception_rolls_back_and_passes_through(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()

        async def fail_half_way() -> None:
            async with unit_of_work() as uow:
                await self._write(uow, video)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail_half_way()

        await self._assert_nothing_stayed(unit_of_work, video)

    async def test_others_see_nothing_before_the_commit(self, unit_of_work: UnitOfWorkFactory) -> None:
        video = make_video()
        async with unit_of_work() as writing:
            await self._write(writing, video)
            await self._assert_nothing_stayed(unit_of_work, video)
            await writing.commit()

        async with unit_of_work() as uow:
            assert await uow.videos.get(TENANT, video.id) is not None
            assert await uow.object_deletions.take_due(NOW, 1) == ["key"]

    async def test_a_block_goes_on_after_a_commit(self, unit_of_work: UnitOfWorkFactory) -> None:
        first, second, third = make_video(), make_video(), make_video()
        async with unit_of_work() as uow:
            await uow.videos.add(first)
            await uow.commit()
            await uow.videos.add(second)
            await uow.commit()
            await uow.videos.add(third)

        async with unit_of_work() as uow:
            found = [await uow.videos.get(TENANT, video.id) is not None for video in (first, second, third)]
        assert found == [True, True, False]

    async def _write(self, uow: UnitOfWork, video: Video) -> None:
        await uow.videos.add(video)
        await uow.jobs.add(make_job(video=video))
        await uow.object_deletions.schedule("key", NOW)

    async def _assert_nothing_stayed(self, unit_of_work: UnitOfWorkFactory, video: Video) -> None:
        async with unit_of_work() as uow:
            assert await uow.videos.get(TENANT, video.id) is None
            assert await uow.jobs.latest_of_video(TENANT, video.id) is None
            assert await uow.object_deletions.take_due(NOW, 1) == []
