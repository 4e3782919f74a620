"""From stored detections to tracks and counts: whatever the cut, the faint ones, and what happens on the way."""

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from tests.support.fake_inference import fake_clip
from tests.support.fakes import FakeObjectStorage
from tests.support.scripted_media import ScriptedMedia
from tests.unit.application.snapshot_extractor import FakeSnapshotExtractor
from tests.unit.application.world import Incoming, World, error_of, principal, value_of
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.jobs.work import FINISH
from vidintel.application.pipeline.snapshots import OpenPicture
from vidintel.application.ports import (
    DetectionFilter,
    DetectionRow,
    Page,
    TrackFilter,
)
from vidintel.application.queries.detections import ListDetections
from vidintel.application.queries.results import GetTimeline, VideoTimeline
from vidintel.application.queries.tracks import ListTracks
from vidintel.application.videos.registration import VideoDetails
from vidintel.application.work.lease import Leaving, Stalled
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.analytics import LineCount, MinimumTrack
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.errors import LeaseLost, ResultNotFound, StorageError, StorageFull, StorageUnavailable
from vidintel.domain.geometry import Line, Point, Zone
from vidintel.domain.results import JobSummary, JobTimeline
from vidintel.domain.tracking import Track, TrackedFrame
from vidintel.domain.video import StoredContent
from vidintel.infrastructure.tracking.tracker import MotionTracker

FPS, SECONDS = 10, 12
MIDDLE = Line("middle", Point(0.5, 0.0), Point(0.5, 1.0))
LEFT = Zone("left", (Point(0, 0), Point(0.4, 0), Point(0.4, 1), Point(0, 1)))
SPEC = SpecRequest(lines=(MIDDLE,), zones=(LEFT,))


def box(x: float, y: float) -> BoundingBox:
    return BoundingBox(max(0.0, x - 0.05), y - 0.05, min(1.0, x + 0.05), y + 0.05)


def seen_at(time_s: float) -> Iterator[Detection]:
    """A car that crosses, faint for a while; a truck that comes later; a person that is never seen well."""
    car = 0.1 + 0.1 * time_s
    if car < 0.95:
        yield Detection("car", 0.15 if 2.0 < time_s < 2.9 else 0.9, box(car, 0.3))
    if 5.0 <= time_s < 9.0:
        yield Detection("truck", 0.8, box(0.9 - 0.15 * (time_s - 5.0), 0.7))
    if time_s < 3.0:
        yield Detection("person", 0.2, box(0.2, 0.5 + 0.02 * time_s))


CLIP = fake_clip([number / FPS for number in range(FPS * SECONDS)], keyframe_every=5)


def scripted(scene: Callable[[float], Iterable[Detection]] = seen_at, clip: bytes = CLIP) -> ScriptedMedia:
    return ScriptedMedia(scene, clip)


@dataclass(frozen=True)
class Answers:
    tracks: Sequence[Track]
    detections: Sequence[DetectionRow]
    summary: JobSummary
    timeline: JobTimeline


async def analysed(
    spec: SpecRequest = SPEC, *, segment_s: float = 3.0, scene: Callable[[float], Iterable[Detection]] = seen_at
) -> Answers:
    world = World(media=scripted(scene), segment_s=segment_s)
    job = await registered(world, spec)
    await world.work_off(rounds=50)
    assert (await world.job(job)).status is JobStatus.SUCCEEDED
    return await answers(world, job)


async def registered(world: World, spec: SpecRequest = SPEC) -> AnalysisJob:
    return value_of(await world.register(principal(), Incoming(details=VideoDetails(spec=spec)))).job.job


async def answers(world: World, job: AnalysisJob) -> Answers:
    uow, page = world.database.unit_of_work, Page(limit=10_000)
    tracks = value_of(await ListTracks(uow)(principal(), job.video_id, None, TrackFilter(), page))
    detections = value_of(await ListDetections(uow)(principal(), job.video_id, None, DetectionFilter(), page))
    timeline = value_of(await GetTimeline(uow)(principal(), job.video_id, None))
    assert isinstance(timeline, VideoTimeline)
    async with uow() as unit:
        results = await unit.results.of_job(job.tenant_id, job.id)
    assert results.summary is not None
    return Answers(tracks.items, detections.items, results.summary, timeline.timeline)


async def test_objects_are_followed_and_counted() -> None:
    found = await analysed()

    car, truck = found.tracks
    assert [(track.track_id, track.label) for track in (car, truck)] == [(1, "car"), (2, "truck")]
    assert (car.first_seen_s, truck.first_seen_s) == (0.0, 5.0)
    assert car.last_seen_s == pytest.approx(8.4)
    assert found.summary.unique_tracks == 2
    unique = {label: seen.unique_tracks for label, seen in found.summary.labels.items()}
    assert unique == {"car": 1, "truck": 1}
    assert found.summary.line_crossings == (
        LineCount("middle", "car", forward=0, backward=1),
        LineCount("middle", "truck", forward=1, backward=0),
    )
    zones = found.summary.zones
    assert [(use.zone, use.label, use.tracks) for use in zones] == [("left", "car", 1), ("left", "truck", 1)]
    assert zones[0].dwell_total_s == pytest.approx(3.0, abs=0.01)
    assert found.summary.minimum_track == MinimumTrack(seconds=0.5, points=2)


async def test_every_detection_shown_tells_its_track() -> None:
    found = await analysed()

    of_track = {track.track_id: track.label for track in found.tracks}
    assert found.detections
    assert all(row.track_id is not None and of_track[row.track_id] == row.label for row in found.detections)


async def test_faint_detections_bridge_gaps_and_show_nowhere() -> None:
    found = await analysed()

    assert {row.label for row in found.detections} == {"car", "truck"}
    assert min(row.confidence for row in found.detections) >= 0.25
    assert found.summary.detections == len(found.detections)
    ((car_in_sight,), (truck_in_sight,)) = (found.timeline.labels[label] for label in ("car", "truck"))
    assert (car_in_sight.start_s, truck_in_sight.start_s) == (0.0, 5.0)
    assert car_in_sight.end_s == pytest.approx(8.4)
    assert truck_in_sight.end_s == pytest.approx(8.8)
    car = found.summary.labels["car"]
    assert car.frames == sum(row.label == "car" for row in found.detections)
    assert found.tracks[0].points > car.detections, "the faint ones are part of the track"


async def test_a_track_that_never_reaches_the_clients_confidence_is_not_there() -> None:
    found = await analysed(SpecRequest(min_confidence=0.85, lines=(MIDDLE,), zones=(LEFT,)))

    assert [track.label for track in found.tracks] == ["car"]
    assert {row.label for row in found.detections} == {"car"}
    assert found.summary.unique_tracks == 1
    assert found.summary.line_crossings == (LineCount("middle", "car", forward=0, backward=1),)


@pytest.mark.parametrize("sample_fps", [5.0, "native"])
async def test_answers_do_not_depend_on_how_the_video_was_cut(sample_fps: float) -> None:
    spec = SpecRequest(sample_fps=sample_fps, lines=(MIDDLE,), zones=(LEFT,))
    by_length = [await analysed(spec, segment_s=length) for length in (1.0, 3.0, 10.0, 100.0)]

    assert by_length[0].tracks
    assert all(each == by_length[0] for each in by_length[1:])


@pytest.mark.parametrize("segment_s", [1.0, 3.0, 100.0])
async def test_shots_change_where_the_colours_do_whatever_the_cut(segment_s: float) -> None:
    found = await analysed(SpecRequest(sample_fps=2), segment_s=segment_s)

    # The fake decoder's pictures get lighter with the frame's index, which passes 128 between 12.5 s and 13 s.
    assert found.timeline.shot_changes == ()
    long = fake_clip([number / FPS for number in range(FPS * 20)], keyframe_every=5)
    world = World(media=scripted(clip=long), segment_s=segment_s)
    job = await registered(world, SpecRequest(sample_fps=2))
    await world.work_off(rounds=50)
    assert (await answers(world, job)).timeline.shot_changes == (13.0,)


async def test_a_video_without_anything_in_it_has_empty_answers() -> None:
    found = await analysed(scene=lambda _: ())

    assert (found.tracks, found.detections, found.summary.unique_tracks) == ([], [], 0)
    assert (found.summary.labels, found.summary.line_crossings, found.summary.zones) == ({}, (), ())
    assert found.timeline.labels == {}


async def analysed_up_to_the_end(world: World) -> AnalysisJob:
    job = await registered(world)
    value_of(await world.plan(job))
    for segment in await world.segments():
        value_of(await world.run(segment))
    return job


async def test_before_the_job_has_succeeded_there_are_no_tracks_and_no_timeline() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await analysed_up_to_the_end(world)
    uow = world.database.unit_of_work

    page = value_of(await ListTracks(uow)(principal(), job.video_id, job.id, TrackFilter(), Page()))
    timeline = await GetTimeline(uow)(principal(), job.video_id, job.id)

    assert page.items == []
    assert isinstance(error_of(timeline), ResultNotFound)


async def test_a_holder_that_lost_the_stage_publishes_nothing() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await analysed_up_to_the_end(world)

    class Thief:
        """Takes the stage over while the objects are being followed."""

        def __init__(self, *_: float) -> None:
            stored = world.database.work_items[world.item(FINISH, job.id)]
            stored.release(stored.work.token, world.clock.now())
            stored.claim("thief", world.clock.now(), world.rules.lease)
            self.memory_s = 1.0

        def update(self, frame: FrameDetections) -> Sequence[object]:
            return ()

        def finish(self) -> Sequence[object]:
            return ()

    assert isinstance(error_of(await world.finish(job, Thief)), LeaseLost)

    assert world.database.tracks == {}
    assert world.database.results == {}
    assert (await world.job(job)).status is JobStatus.RUNNING


async def test_no_transaction_is_open_while_objects_are_followed_and_pictures_taken() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await analysed_up_to_the_end(world)
    world.rules = replace(world.rules, heartbeat_s=100)  # heartbeats open transactions of their own
    open_at: list[tuple[str, int]] = []

    class WatchedTracker(MotionTracker):
        def update(self, frame: FrameDetections) -> Sequence[TrackedFrame]:
            open_at.append(("following", world.database.open))
            return super().update(frame)

    world.snapshot_extractor.on_picture = lambda _: open_at.append(("picture", world.database.open))
    value_of(await world.finish(job, WatchedTracker))

    assert set(open_at) == {("following", 0), ("picture", 0)}
    assert len((await answers(world, job)).tracks) == 2


async def test_a_worker_that_must_go_releases_the_stage_and_another_finishes_it() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await analysed_up_to_the_end(world)
    world.worker.leave()

    with pytest.raises(Leaving):
        await world.finish(job)
    assert world.database.tracks == {}

    other = World(world.database, world.storage, world.clock, media=world.media, segment_s=3.0)
    value_of(await other.finish(job))
    assert len((await answers(other, job)).tracks) == 2


async def test_deleting_the_video_deletes_its_tracks() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await registered(world)
    await world.work_off(rounds=50)

    value_of(await world.delete(principal(), job.video_id))

    assert world.database.tracks == {}


def pictures_of(world: World) -> set[str]:
    return {key.rpartition("/")[2] for key in world.storage.objects if "/jobs/" in key}


async def test_pictures_are_kept_of_the_video_and_of_its_tracks() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await registered(world)
    await world.work_off(rounds=50)

    assert pictures_of(world) == {"poster", "preview", "shot-1", "shot-2"}
    assert world.database.object_deletions == {}
    uow = world.database.unit_of_work
    opened = value_of(await OpenPicture(uow, world.storage)(principal(), job.video_id, None, "poster"))
    assert b"".join([chunk async for chunk in opened.read()]) == b"poster at 5.00", "car and truck at once"
    async with uow() as unit:
        snapshots = (await unit.results.of_job(job.tenant_id, job.id)).snapshots
    assert snapshots is not None
    assert (snapshots.poster_s, snapshots.shots) == (5.0, (1, 2))
    assert snapshots.preview_s == pytest.approx([SECONDS * (number + 0.5) / 10 for number in range(10)], abs=0.1)


async def test_pictures_that_cannot_be_had_are_left_out() -> None:
    world = World(media=scripted(), snapshot_extractor=FakeSnapshotExtractor(broken=frozenset({"poster", "shot-2"})))
    job = await registered(world)
    await world.work_off(rounds=50)

    assert pictures_of(world) == {"preview", "shot-1"}
    answer = await OpenPicture(world.database.unit_of_work, world.storage)(principal(), job.video_id, None, "poster")
    assert isinstance(error_of(answer), ResultNotFound)
    assert world.database.object_deletions == {}


class NoRoomForPictures(FakeObjectStorage):
    """Full as soon as there are two pictures."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        if sum("/jobs/" in stored for stored in self.objects) == 2:
            raise StorageFull
        return await super().put(key, chunks, max_bytes=max_bytes)


async def test_a_storage_that_takes_no_more_pictures_does_not_cost_the_answer() -> None:
    world = World(media=scripted(), storage=NoRoomForPictures())
    job = await registered(world)
    await world.work_off(rounds=50)

    assert (await world.job(job)).status is JobStatus.SUCCEEDED
    assert len(pictures_of(world)) == 2
    assert world.database.object_deletions == {}


class DownForPictures(FakeObjectStorage):
    """Goes away with the second picture, until it ``is_back``."""

    def __init__(self) -> None:
        super().__init__()
        self.is_back = False

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        if not self.is_back and any("/jobs/" in stored for stored in self.objects):
            raise StorageUnavailable
        return await super().put(key, chunks, max_bytes=max_bytes)


async def test_pictures_wait_for_a_storage_that_is_down_and_cost_no_attempt() -> None:
    storage = DownForPictures()
    world = World(media=scripted(), storage=storage)
    job = await registered(world)
    await world.work_off(rounds=50)

    assert (await world.job(job)).status is JobStatus.RUNNING
    assert world.work_of(world.item(FINISH, job.id)).attempts == 0

    storage.is_back = True
    world.clock.advance(60)
    await world.work_off(rounds=50)

    assert (await world.job(job)).status is JobStatus.SUCCEEDED
    await world.collect_garbage()
    assert pictures_of(world) == {"poster", "preview", "shot-1", "shot-2"}


async def test_the_pictures_of_an_attempt_that_fails_are_removed_and_made_again() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await analysed_up_to_the_end(world)

    def fail(name: str) -> None:
        if name == "shot-2":
            raise StorageError("The disk does not answer.")

    world.snapshot_extractor.on_picture = fail
    error_of(await world.finish(job))
    assert pictures_of(world) == {"poster", "preview", "shot-1"}
    assert (await world.collect_garbage(), pictures_of(world)) == (4, set())

    world.snapshot_extractor.on_picture = lambda _: None
    world.clock.advance(60)
    value_of(await world.finish(job))

    assert pictures_of(world) == {"poster", "preview", "shot-1", "shot-2"}
    assert world.database.object_deletions == {}


async def test_who_loses_the_stage_while_taking_pictures_leaves_none_and_spoils_none() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await analysed_up_to_the_end(world)
    taken_over = False

    def take_over(_: str) -> None:
        nonlocal taken_over
        if not taken_over:
            taken_over = True
            stored = world.database.work_items[world.item(FINISH, job.id)]
            stored.release(stored.work.token, world.clock.now())

    world.snapshot_extractor.on_picture = take_over
    assert isinstance(error_of(await world.finish(job)), LeaseLost)
    other = World(world.database, world.storage, world.clock, media=world.media, segment_s=3.0)
    value_of(await other.finish(job))
    await world.collect_garbage()

    assert pictures_of(world) == {"poster", "preview", "shot-1", "shot-2"}
    assert len([key for key in world.storage.objects if "/jobs/" in key]) == 4


async def test_deleting_a_video_removes_its_pictures() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await registered(world)
    await world.work_off(rounds=50)

    value_of(await world.delete(principal(), job.video_id))
    await world.collect_garbage()

    assert world.storage.objects == {}


async def test_a_camera_that_hangs_is_given_up_and_the_attempt_counted() -> None:
    world = World(media=scripted(), segment_s=3.0)
    job = await analysed_up_to_the_end(world)
    opened = threading.Event()

    def hang(_: str) -> None:
        assert opened.wait(10)

    world.snapshot_extractor.on_picture = hang
    world.rules = replace(world.rules, stall_s=0.05)

    with pytest.raises(Stalled):
        await world.finish(job)
    opened.set()

    assert (await world.job(job)).status is JobStatus.RUNNING
    waiting = world.work_of(world.item(FINISH, job.id))
    assert (waiting.attempts, waiting.is_held) == (1, False)
    assert world.database.tracks == {}
