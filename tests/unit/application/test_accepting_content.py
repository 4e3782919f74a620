"""Content that arrives after its video was registered, from sources other than the upload form."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.support.fakes import InMemoryUnitOfWork
from tests.unit.application.world import BYTES, Incoming, World, error_of, principal, value_of
from vidintel.application.jobs.failure import fail_job
from vidintel.application.jobs.queueing import queue_analysis
from vidintel.application.jobs.specs import SpecRequest, SpecResolver
from vidintel.application.ports import JobReport
from vidintel.application.videos.acceptance import receive_content
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.errors import (
    ConflictError,
    InvalidTransition,
    JobAlreadyActive,
    NotAVideo,
    ServiceUnavailable,
)
from vidintel.domain.video import Failure, SourceKind, StoredContent, Video, VideoId, VideoSource, VideoStatus

REQUEST = SpecRequest(sample_fps="native", labels=("car",))
URL = "https://example.org/gate.mp4"
UNREACHABLE = Failure("fetch_failed", "The server does not answer.")


async def pieces(content: bytes, breaks_with: BaseException | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100):
        yield content[start : start + 100]
    if breaks_with is not None:
        raise breaks_with


class Source:
    """A source that knows of a video before it has the bytes, as one that downloads from a URL does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._specs = SpecResolver(world.registry, sample_fps=lambda: 5.0)

    async def announced(self) -> tuple[Video, JobReport]:
        """The first request: a pending video, and the job that waits for its content."""
        who, now = principal(), self.world.clock.now()
        spec, model = self._specs.resolve(REQUEST)
        video = Video.register(
            video_id=VideoId(uuid4()),
            tenant_id=who.tenant_id,
            created_by=who.user_id,
            source=VideoSource(SourceKind.URL, URL),
            now=now,
        )
        async with self.world.database.unit_of_work() as uow:
            await uow.videos.add(video)
            job = await queue_analysis(uow, video, spec, model, created_by=who.user_id, now=now)
            await uow.commit()
        return video, job

    async def downloads(self, video: Video, chunks: AsyncIterator[bytes]) -> None:
        """Later, in a worker: the bytes come as a stream."""
        async with self.world.accept_content.stored(video.tenant_id, video.id, chunks) as content:
            await self.hands_over(video, content)

    async def writes_by_itself(self, video: Video, content: bytes) -> StoredContent:
        """Something else writes the object, perhaps in parts and over hours."""
        key = await self.world.accept_content.reserve(video.id)
        return await self.world.storage.put(key, pieces(content), max_bytes=10_000)

    async def hands_over(self, video: Video, content: StoredContent) -> None:
        async with self.world.database.unit_of_work() as uow:
            locked = await self._locked(uow, video)
            await receive_content(uow, locked, content, self.world.clock.now())
            await uow.commit()

    async def gives_up(self, video: Video, job: AnalysisJob) -> None:
        async with self.world.database.unit_of_work() as uow:
            locked, waiting = await self._locked(uow, video), await uow.jobs.get_for_update(job.tenant_id, job.id)
            assert waiting is not None
            await fail_job(uow, locked, waiting, UNREACHABLE, self.world.clock.now())
            await uow.commit()

    async def _locked(self, uow: InMemoryUnitOfWork, video: Video) -> Video:
        found = await uow.videos.get_for_update(video.tenant_id, video.id)
        assert found is not None
        return found


async def test_a_job_keeps_its_spec_and_waits_while_the_video_is_pending() -> None:
    world = World()

    video, report = await Source(world).announced()
    world.clock.advance(seconds=86_400)

    assert (video.status, report.job.status, report.progress.segments_total) == (
        VideoStatus.PENDING,
        JobStatus.QUEUED,
        0,
    )
    assert (await world.job(report.job)).spec.labels == ("car",)
    assert world.database.notifications == 0
    assert await world.dispatch() == 0


async def test_downloaded_content_starts_the_job_that_waits_for_it() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()

    await source.downloads(video, pieces(BYTES))

    received = await world.video(report.job)
    assert received.status is VideoStatus.UPLOADED
    assert received.content is not None
    assert world.storage.objects == {received.content.key: BYTES}
    assert not world.database.object_deletions
    assert world.database.notifications == 1
    await world.work_off()
    assert (await world.job(report.job)).status is JobStatus.SUCCEEDED
    assert (await world.video(report.job)).status is VideoStatus.COMPLETED


async def test_an_object_that_was_written_elsewhere_is_adopted() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()

    content = await source.writes_by_itself(video, BYTES)
    assert list(world.database.object_deletions) == [content.key]
    await source.hands_over(video, content)

    assert (await world.video(report.job)).content == content
    assert not world.database.object_deletions
    await world.work_off()
    assert (await world.job(report.job)).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        (pieces(BYTES, breaks_with=ConnectionError("reset")), ConnectionError),
        (pieces(b"<html>Not found</html>"), NotAVideo),
    ],
    ids=["breaks off", "no video"],
)
async def test_a_failed_download_leaves_the_video_pending_and_can_be_repeated(
    chunks: AsyncIterator[bytes], error: type[Exception]
) -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()

    with pytest.raises(error):
        await source.downloads(video, chunks)

    assert (await world.video(report.job)).status is VideoStatus.PENDING
    assert not world.storage.objects
    assert not world.database.object_deletions
    await source.downloads(video, pieces(BYTES))
    await world.work_off()
    assert (await world.job(report.job)).status is JobStatus.SUCCEEDED


async def test_a_late_attempt_does_not_remove_what_another_one_stored() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()

    async def interrupted() -> AsyncIterator[bytes]:
        yield BYTES
        await source.downloads(video, pieces(BYTES))  # meanwhile another worker took over
        raise ConnectionError("reset")

    with pytest.raises(ConnectionError):
        await source.downloads(video, interrupted())

    received = await world.video(report.job)
    assert received.content is not None
    assert world.storage.objects == {received.content.key: BYTES}


async def test_content_is_accepted_once() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()
    await source.downloads(video, pieces(BYTES))

    with pytest.raises(InvalidTransition):
        await source.downloads(video, pieces(BYTES))

    received = await world.video(report.job)
    assert received.content is not None
    assert world.storage.objects == {received.content.key: BYTES}


async def test_an_object_whose_reservation_ran_out_is_refused_and_removed() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()

    async def slow() -> AsyncIterator[bytes]:
        yield BYTES
        world.clock.advance(seconds=timedelta(days=2).total_seconds())
        await world.collect_garbage()

    with pytest.raises(ServiceUnavailable, match="expired"):
        await source.downloads(video, slow())

    assert (await world.video(report.job)).status is VideoStatus.PENDING
    assert not world.storage.objects
    assert not world.database.object_deletions


async def test_content_whose_commit_got_no_answer_is_kept() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()

    async def committed_without_an_answer(content: StoredContent) -> None:
        await source.hands_over(video, content)
        raise ServiceUnavailable("The database did not answer.")

    with pytest.raises(ServiceUnavailable):
        async with world.accept_content.stored(video.tenant_id, video.id, pieces(BYTES)) as content:
            await committed_without_an_answer(content)

    received = await world.video(report.job)
    assert received.content is not None
    assert world.storage.objects == {received.content.key: BYTES}
    assert not world.database.object_deletions


async def test_content_that_never_arrives_fails_video_and_job() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()

    await source.gives_up(video, report.job)

    failed = await world.video(report.job)
    assert (failed.status, failed.failure) == (VideoStatus.FAILED, UNREACHABLE)
    assert (await world.job(report.job)).status is JobStatus.FAILED
    assert [event.type for event in world.database.outbox.values()] == ["job.failed"]
    assert type(error_of(await world.request(principal(), video.id, REQUEST))) is ConflictError
    assert type(error_of(await world.retry(principal(), report.job.id))) is ConflictError


async def test_a_cancelled_job_does_not_start_and_another_may_wait_instead() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()
    assert type(error_of(await world.request(principal(), video.id, REQUEST))) is JobAlreadyActive
    value_of(await world.cancel(principal(), report.job.id))
    world.clock.advance(seconds=1)
    again = value_of(await world.request(principal(), video.id, SpecRequest()))
    assert await world.dispatch() == 0

    await source.downloads(video, pieces(BYTES))
    await world.work_off()

    assert (await world.job(report.job)).status is JobStatus.CANCELLED
    assert (await world.job(again.job)).status is JobStatus.SUCCEEDED


async def test_content_without_a_job_waits_to_be_analysed() -> None:
    world = World()
    source = Source(world)
    video, report = await source.announced()
    value_of(await world.cancel(principal(), report.job.id))

    await source.downloads(video, pieces(BYTES))

    assert (await world.video(report.job)).status is VideoStatus.UPLOADED
    assert await world.dispatch() == 0
    again = value_of(await world.request(principal(), video.id, REQUEST))
    await world.work_off()
    assert (await world.job(again.job)).status is JobStatus.SUCCEEDED


async def test_each_upload_gets_a_key_of_its_own() -> None:
    world = World()
    value_of(await world.register(principal(), Incoming()))
    value_of(await world.register(principal(), Incoming()))

    assert len(world.storage.objects) == 2
