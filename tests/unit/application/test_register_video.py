"""Taking a video in: all of it, or nothing."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.support.fakes import FakeObjectStorage
from tests.unit.application.world import BYTES, Incoming, World, error_of, principal, value_of
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.videos.registration import VideoDetails
from vidintel.domain.analysis import JobStatus
from vidintel.domain.errors import (
    AuthorizationError,
    DomainError,
    EmptyFile,
    NotAVideo,
    PayloadTooLarge,
    StorageUnavailable,
    UnknownLabel,
    UnknownModel,
    ValidationError,
)
from vidintel.domain.identity import Role
from vidintel.domain.video import CameraId, VideoStatus


def assert_nothing_stays(world: World) -> None:
    assert not world.storage.objects
    assert not world.database.videos
    assert not world.database.jobs
    assert not world.database.object_deletions


async def test_a_video_is_stored_and_its_analysis_queued() -> None:
    world = World()

    registered = await world.registered()

    video, job = registered.video, registered.job.job
    assert (video.status, video.title, job.status) == (VideoStatus.UPLOADED, "clip.mp4", JobStatus.QUEUED)
    assert video.content is not None
    assert world.storage.objects == {video.content.key: BYTES}
    assert (job.spec.model, job.spec.sample_fps, job.model.sha256) == ("traffic", 5.0, "a" * 64)
    assert world.database.notifications == 1
    assert not world.database.object_deletions


async def test_details_may_follow_the_bytes() -> None:
    late = VideoDetails(
        title="Late",
        captured_at=datetime(2026, 1, 1, tzinfo=UTC),
        camera_id=CameraId("gate-3"),
        spec=SpecRequest(sample_fps="native"),
    )

    registered = value_of(await World().register(principal(), Incoming(late=late)))

    assert (registered.video.title, registered.job.job.spec.sample_fps) == ("Late", None)
    assert registered.video.camera_id == CameraId("gate-3")


@pytest.mark.parametrize(
    ("incoming", "expected"),
    [
        (Incoming(b""), EmptyFile),
        (Incoming(b"just some text, renamed .mp4" * 50), NotAVideo),
        (Incoming("šárka".encode() * 120), NotAVideo),
        (Incoming(b"hi"), NotAVideo),
        (Incoming(b"\x89PNG\r\n\x1a\n" + bytes(600)), NotAVideo),
        (Incoming(bytes(10_001)), PayloadTooLarge),
        (Incoming(name=""), ValidationError),
        (Incoming(details=VideoDetails(spec=SpecRequest(model="nope"))), UnknownModel),
        (Incoming(late=VideoDetails(spec=SpecRequest(model="nope"))), UnknownModel),
        (Incoming(late=VideoDetails(spec=SpecRequest(labels=("dragon",)))), UnknownLabel),
        (Incoming(late=VideoDetails(spec=SpecRequest(sample_fps=-1))), ValidationError),
        (Incoming(late=VideoDetails(title=" ")), ValidationError),
        (Incoming(late=VideoDetails(captured_at=datetime(2030, 1, 1, tzinfo=UTC))), ValidationError),
        (Incoming(breaks_with=ValidationError("The form ends early.")), ValidationError),
    ],
    ids=[
        "empty", "text", "accents", "short text", "picture", "too large", "no name", "model", "late model", "label",
        "fps", "title", "future", "broken form",
    ],
)  # fmt: skip
async def test_what_is_refused_leaves_nothing_behind(incoming: Incoming, expected: type[DomainError]) -> None:
    world = World()

    error = error_of(await world.register(principal(), incoming))

    assert type(error) is expected
    assert_nothing_stays(world)


@pytest.mark.parametrize("gone", [ConnectionError("client left"), asyncio.CancelledError()], ids=["gone", "cancelled"])
async def test_a_client_that_goes_away_leaves_nothing_behind(gone: BaseException) -> None:
    world = World()

    with pytest.raises(type(gone)):
        await world.register(principal(), Incoming(breaks_with=gone))

    assert_nothing_stays(world)


class Down(FakeObjectStorage):
    async def delete(self, key: str) -> None:
        raise StorageUnavailable


async def test_what_cannot_be_removed_during_an_outage_is_collected_later() -> None:
    world = World(storage=Down())

    with pytest.raises(ConnectionError):
        await world.register(principal(), Incoming(breaks_with=ConnectionError("client left")))

    assert len(world.database.object_deletions) == 1


async def test_a_viewer_may_not_upload() -> None:
    world = World()

    assert isinstance(error_of(await world.register(principal(Role.VIEWER), Incoming())), AuthorizationError)
    assert_nothing_stays(world)


async def test_an_upload_whose_server_died_is_collected_later() -> None:
    world = World()
    async with world.database.unit_of_work() as uow:  # what a process that was killed leaves behind
        await uow.object_deletions.schedule("videos/1/source", world.clock.now())
        await uow.commit()
    world.storage.objects["videos/1/source"] = BYTES

    assert await world.collect_garbage() == 1

    assert_nothing_stays(world)


async def test_deleting_a_video_removes_its_object_too() -> None:
    world = World()
    video = (await world.registered()).video

    value_of(await world.delete(principal(), video.id))
    await world.collect_garbage()

    assert_nothing_stays(world)


async def test_another_tenants_video_does_not_exist() -> None:
    world = World()
    video = (await world.registered()).video

    assert error_of(await world.delete(principal(tenant="org_other"), video.id)).code == "video_not_found"
    assert world.database.videos
