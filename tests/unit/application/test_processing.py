"""From a queued job to its results, through everything that may go wrong on the way."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, BinaryIO

import pytest

from tests.support.scripted_media import MODEL, ScriptedMedia
from tests.unit.application.world import LEASE_S, POLICY, Incoming, World, error_of, principal, value_of
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.jobs.work import PLAN, SEGMENT
from vidintel.application.ports import Frame
from vidintel.application.work.lease import Leaving, Stalled
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.errors import (
    JobAlreadyActive,
    LeaseLost,
    NoVideoStream,
    ServiceUnavailable,
    StorageError,
    UnreadableVideo,
)
from vidintel.domain.segment import SegmentSpan, SegmentStatus
from vidintel.domain.video import MediaWarning, VideoStatus, WarningSummary
from vidintel.domain.work import WorkItem


async def states(world: World, job: AnalysisJob) -> tuple[VideoStatus, JobStatus, list[SegmentStatus]]:
    return (
        (await world.video(job)).status,
        (await world.job(job)).status,
        [segment.status for segment in await world.segments()],
    )


async def test_a_job_goes_from_queued_to_succeeded() -> None:
    world = World()
    job = (await world.registered()).job.job

    await world.work_off()

    assert await states(world, job) == (VideoStatus.COMPLETED, JobStatus.SUCCEEDED, [SegmentStatus.DONE] * 2)
    assert [frame.frame for frame in await world.detections(job)] == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    async with world.database.unit_of_work() as uow:
        summary = (await uow.results.of_job(job.tenant_id, job.id)).summary
        progress = await uow.jobs.progress(job.tenant_id, job.id)
    assert summary is not None
    assert (summary.frames_analysed, summary.detections) == (20, 10)
    assert (progress.frames_done, progress.frames_total, progress.segments_done) == (20, 20, 2)


async def test_warnings_are_summed_up_by_code_in_the_summary() -> None:
    world = World()
    world.media.warnings = (
        MediaWarning("corrupt_frames", "2 frames are broken.", 3.0),
        *(MediaWarning("truncated", "The file ends early.", at_s) for at_s in range(50)),
    )
    job = (await world.registered()).job.job

    await world.work_off()

    async with world.database.unit_of_work() as uow:
        summary = (await uow.results.of_job(job.tenant_id, job.id)).summary
    assert [len(segment.warnings) for segment in await world.segments()] == [20, 20]
    # The first segment keeps those of the plan: 20 already.
    assert summary is not None
    assert summary.warnings == (
        WarningSummary("corrupt_frames", "2 frames are broken.", count=2, first_at_s=3.0),
        WarningSummary("truncated", "The file ends early.", count=38, first_at_s=0),
    )


async def test_a_doubled_message_changes_nothing() -> None:
    world = World()
    job = await world.planned()
    segment = (await world.segments())[0]
    value_of(await world.run(segment))

    assert isinstance(error_of(await world.run(segment)), LeaseLost)
    assert isinstance(error_of(await world.plan(job)), LeaseLost)

    assert len(await world.detections(job)) == 5
    assert world.media.plans == 1


async def test_a_file_that_is_no_video_fails_the_job_with_its_own_error_at_once() -> None:
    world = World()
    job = (await world.registered()).job.job

    def refuse() -> None:
        raise NoVideoStream

    world.media.on_plan = refuse
    await world.work_off()

    assert await states(world, job) == (VideoStatus.FAILED, JobStatus.FAILED, [])
    failure = (await world.job(job)).failure
    assert failure is not None
    assert failure.code == (await world.video(job)).failure.code == "no_video_stream"  # type: ignore[union-attr]


async def test_a_permanent_fault_in_a_segment_fails_the_job_without_further_attempts() -> None:
    world = World()
    job = await world.planned()

    def refuse(_: int) -> None:
        raise UnreadableVideo("Damaged.")

    world.media.on_frame = refuse
    first, _ = await world.segments()
    assert error_of(await world.run(first)).code == "unreadable_video"

    assert await states(world, job) == (
        VideoStatus.FAILED,
        JobStatus.FAILED,
        [SegmentStatus.DEAD, SegmentStatus.PENDING],
    )


async def test_a_passing_fault_is_tried_again_after_a_while_and_then_given_up() -> None:
    world = World()
    job = await world.planned()
    segment = (await world.segments())[0]

    def fail(_: int) -> None:
        raise StorageError("The disk does not answer.")

    world.media.on_frame = fail
    for attempt in range(1, POLICY.max_attempts + 1):
        error_of(await world.run(segment))
        if attempt < POLICY.max_attempts:
            waiting = world.work_of(world.item(SEGMENT, segment.id))
            assert waiting.due_at == world.clock.now() + POLICY.delay(attempt)
            world.clock.time = max(world.clock.time, waiting.due_at)

    assert (await states(world, job))[:2] == (VideoStatus.FAILED, JobStatus.FAILED)
    failure = (await world.job(job)).failure
    assert failure is not None
    assert failure.code == "storage_failed"


async def test_an_unexpected_fault_is_not_told_to_clients() -> None:
    world = World()
    job = await world.planned()
    segment = (await world.segments())[0]

    def crash(_: int) -> None:
        raise RuntimeError("secret path /x/y")

    world.media.on_frame = crash
    for _ in range(POLICY.max_attempts):
        with pytest.raises(RuntimeError):
            await world.run(segment)
        world.clock.advance(60)

    failure = (await world.job(job)).failure
    assert failure is not None
    assert failure.code == "attempts_exhausted"
    assert "secret" not in failure.detail


async def test_what_is_down_costs_no_attempt() -> None:
    world = World()
    await world.planned()
    segment = (await world.segments())[0]

    def unavailable(_: int) -> None:
        raise ServiceUnavailable("S3 is down.", retry_after_s=7)

    world.media.on_frame = unavailable
    error_of(await world.run(segment))

    waiting = world.work_of(world.item(SEGMENT, segment.id))
    assert (waiting.is_held, waiting.attempts, waiting.is_suspect) == (False, 0, False)
    assert (waiting.due_at - world.clock.now()).total_seconds() == 7


async def test_planning_stops_when_its_job_is_cancelled() -> None:
    world = World()
    job = (await world.registered()).job.job
    gate = Gate()
    world.media.on_plan = lambda: gate(0)
    running = asyncio.create_task(world.plan(job))
    await asyncio.to_thread(gate.reached.wait, 10)

    value_of(await world.cancel(principal(), job.id))
    gate.opened.set()

    assert isinstance(error_of(await running), LeaseLost)
    assert await states(world, job) == (VideoStatus.UPLOADED, JobStatus.CANCELLED, [])


async def test_a_dead_worker_is_noticed_when_its_lease_runs_out() -> None:
    world = World()
    job = await world.planned()
    segment = (await world.segments())[0]
    await world.die_with(world.item(SEGMENT, segment.id))

    assert await world.reclaim() == 0
    world.clock.advance(LEASE_S)
    assert await world.reclaim() == 1
    await world.work_off()

    assert (await states(world, job))[1] is JobStatus.SUCCEEDED
    assert len(await world.detections(job)) == 10


async def test_a_worker_that_comes_back_frees_what_it_and_its_children_held_at_once() -> None:
    world = World()
    await world.planned()
    first, second = await world.segments()
    await world.die_with(world.item(SEGMENT, first.id), "worker-1")
    await world.die_with(world.item(SEGMENT, second.id), "worker-1/alone")

    assert await world.reclaim(gone="worker-2") == 0
    assert await world.reclaim(gone="worker-1") == 2
    assert not world.work_of(world.item(SEGMENT, first.id)).is_held


async def test_interruptions_have_an_end_too_and_do_not_blame_the_file() -> None:
    world = World()
    job = await world.planned()
    segment = (await world.segments())[0]
    for _ in range(POLICY.max_interruptions):
        await world.die_with(world.item(SEGMENT, segment.id))
        world.clock.advance(LEASE_S)
        await world.reclaim()

    failure = (await world.job(job)).failure
    assert failure is not None
    assert failure.code == "work_interrupted"
    assert "not at fault" in failure.detail


async def test_what_a_dead_worker_ran_is_a_suspect_that_no_shared_process_runs() -> None:
    world = World()
    await world.planned()
    segment = (await world.segments())[0]
    item_id = world.item(SEGMENT, segment.id)
    await world.die_with(item_id)
    world.clock.advance(LEASE_S)
    await world.reclaim()

    suspect = value_of(await world.runner.claim(item_id))

    assert isinstance(suspect, WorkItem)
    assert not world.work_of(item_id).is_held


async def test_a_suspect_is_not_handed_out_again_while_the_process_that_runs_it_alone_starts() -> None:
    world = World()
    await world.planned()
    item_id = world.item(SEGMENT, (await world.segments())[0].id)
    await world.die_with(item_id)
    await world.reclaim(gone="dead")
    value_of(await world.runner.claim(item_id))

    assert world.work_of(item_id).due_at == world.clock.now() + timedelta(seconds=LEASE_S)
    await world.die_with(item_id, "worker-1/alone")
    assert isinstance(error_of(await world.runner.claim(item_id)), LeaseLost)


@pytest.mark.parametrize("stage", ["plan", "analyse"])
async def test_a_video_that_kills_every_process_that_runs_it_alone_fails_its_job(stage: str) -> None:
    world = World()
    job = (await world.registered()).job.job
    item_id = world.item(PLAN, job.id)
    if stage == "analyse":
        value_of(await world.plan(job))
        item_id = world.item(SEGMENT, (await world.segments())[0].id)
    for _ in range(POLICY.max_deaths):
        await world.die_with(item_id, "worker-1/alone")
        assert await world.reclaim.died_alone("worker-1/alone") == 1

    segments = [] if stage == "plan" else [SegmentStatus.DEAD, SegmentStatus.PENDING]
    assert await states(world, job) == (VideoStatus.FAILED, JobStatus.FAILED, segments)
    failure = (await world.job(job)).failure
    assert failure is not None
    assert failure.code == "attempts_exhausted"
    assert world.database.work_items == {}


async def test_deaths_alone_and_interruptions_are_counted_apart() -> None:
    world = World()
    job = await world.planned()
    item_id = world.item(SEGMENT, (await world.segments())[0].id)
    for _ in range(POLICY.max_deaths - 1):
        await world.die_with(item_id, "worker-1/alone")
        await world.reclaim.died_alone("worker-1/alone")
        await world.die_with(item_id)
        await world.reclaim(gone="dead")

    work = world.work_of(item_id)
    assert (work.deaths, work.interruptions, work.attempts) == (2, 2, 0)
    world.clock.advance(60)
    await world.work_off()
    assert (await world.job(job)).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENOMEM])
async def test_a_machine_that_is_out_of_a_resource_costs_no_attempt(number: int) -> None:
    world = World()
    await world.planned()
    segment = (await world.segments())[0]

    def run_out(_: int) -> None:
        raise OSError(number, os.strerror(number))

    world.media.on_frame = run_out
    assert isinstance(error_of(await world.run(segment)), ServiceUnavailable)

    waiting = world.work_of(world.item(SEGMENT, segment.id))
    assert (waiting.is_held, waiting.attempts) == (False, 0)
    assert waiting.due_at > world.clock.now()


class Gate:
    """Stops the detector at its first frame until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _: int) -> None:
        self.reached.set()
        assert self.opened.wait(10)


@pytest.mark.parametrize("how", ["cancel", "delete"])
async def test_work_stops_and_writes_nothing_when_its_job_is_cancelled_or_deleted(how: str) -> None:
    world = World()
    job = await world.planned()
    gate = Gate()
    world.media.on_frame = gate
    running = asyncio.create_task(world.run((await world.segments())[0]))
    await asyncio.to_thread(gate.reached.wait, 10)

    if how == "cancel":
        value_of(await world.cancel(principal(), job.id))
    else:
        value_of(await world.delete(principal(), job.video_id))
    gate.opened.set()

    assert isinstance(error_of(await running), LeaseLost)
    assert await world.detections(job) == []
    if how == "cancel":
        assert await states(world, job) == (
            VideoStatus.UPLOADED,
            JobStatus.CANCELLED,
            [SegmentStatus.PENDING] * 2,
        )
        assert await world.dispatch() == 0


async def test_a_worker_that_is_told_to_leave_releases_its_segment() -> None:
    world = World()
    await world.planned()
    gate = Gate()
    world.media.on_frame = gate
    running = asyncio.create_task(world.run((await world.segments())[0]))
    await asyncio.to_thread(gate.reached.wait, 10)

    world.worker.leave()
    gate.opened.set()

    with pytest.raises(Leaving):
        await running
    released = world.work_of(world.item(SEGMENT, (await world.segments())[0].id))
    assert (released.is_held, released.attempts, released.is_suspect) == (False, 0, False)


class ReadsForEver(ScriptedMedia):
    """Never gets to a frame."""

    def frames(
        self,
        content: BinaryIO,
        span: SegmentSpan,
        *,
        sample_fps: float | None,
        warn: Callable[[MediaWarning], None] | None = None,
        heartbeat: Callable[[], None] | None = None,
    ) -> Iterator[Frame]:
        assert heartbeat is not None
        while span.sample_count:
            heartbeat()
        yield from ()


async def test_a_worker_that_leaves_does_not_wait_for_the_next_frame() -> None:
    world = World(media=ReadsForEver())
    await world.planned()
    world.worker.leave()

    with pytest.raises(Leaving):
        await world.run((await world.segments())[0])


async def test_a_thread_that_hangs_is_given_up_and_its_attempt_counted() -> None:
    world = World()
    world.rules = replace(world.rules, stall_s=0.05)
    world.__post_init__()
    await world.planned()
    gate = Gate()
    world.media.on_frame = lambda index: gate(index) if index == 25 else None

    with pytest.raises(Stalled):
        await world.run((await world.segments())[0])

    given_up = world.work_of(world.item(SEGMENT, (await world.segments())[0].id))
    assert (given_up.is_held, given_up.attempts) == (False, 1)
    gate.opened.set()


@pytest.mark.parametrize("how", ["cancel", "delete", "reclaim"])
@pytest.mark.parametrize("stage", ["plan", "analyse"])
async def test_a_thread_that_hangs_ends_its_process_also_when_the_work_is_not_ours_any_more(
    stage: str, how: str
) -> None:
    world = World()
    world.rules = replace(world.rules, stall_s=0.3)
    world.__post_init__()
    gate = Gate()
    running: asyncio.Task[Any]
    if stage == "analyse":
        job = await world.planned()
        world.media.on_frame = gate
        running = asyncio.create_task(world.run((await world.segments())[0]))
    else:
        job = (await world.registered()).job.job
        world.media.on_plan = lambda: gate(0)
        running = asyncio.create_task(world.plan(job))
    await asyncio.to_thread(gate.reached.wait, 10)
    match how:
        case "cancel":
            value_of(await world.cancel(principal(), job.id))
        case "delete":
            value_of(await world.delete(principal(), job.video_id))
        case _:
            world.clock.advance(LEASE_S)
            await world.reclaim()

    with pytest.raises(Stalled):
        await running
    gate.opened.set()


async def test_heartbeats_keep_the_lease_and_tell_the_progress() -> None:
    world = World()
    await world.planned()
    segment = (await world.segments())[0]
    gate = Gate()
    world.media.on_frame = lambda index: gate(index) if index == 25 else None
    running = asyncio.create_task(world.run(segment))
    await asyncio.to_thread(gate.reached.wait, 10)
    world.clock.advance(LEASE_S - 1)

    async with asyncio.timeout(10):
        lease_until = world.clock.now() + world.rules.lease
        while (  # noqa: ASYNC110 - a heartbeat has no event to wait for
            world.work_of(world.item(SEGMENT, segment.id)).due_at != lease_until
            or (await world.segments())[0].frames_done != 5
        ):
            await asyncio.sleep(0.01)
    world.clock.advance(LEASE_S - 1)
    assert await world.reclaim() == 0
    gate.opened.set()
    value_of(await running)


async def test_retrying_a_failed_job_keeps_its_finished_segments() -> None:
    world = World()
    job = await world.planned()
    first, second = await world.segments()
    value_of(await world.run(first))

    def refuse(_: int) -> None:
        raise UnreadableVideo("Damaged.")

    world.media.on_frame = refuse
    error_of(await world.run(second))
    world.media.on_frame = lambda index: refuse(index) if index < 50 else None

    value_of(await world.retry(principal(), job.id))
    await world.work_off()

    assert await states(world, job) == (VideoStatus.COMPLETED, JobStatus.SUCCEEDED, [SegmentStatus.DONE] * 2)
    assert world.media.plans == 1


async def test_one_video_has_one_active_job() -> None:
    world = World()
    job = (await world.registered()).job.job

    assert isinstance(error_of(await world.request(principal(), job.video_id, SpecRequest())), JobAlreadyActive)
    value_of(await world.plan(job))
    assert isinstance(error_of(await world.request(principal(), job.video_id, SpecRequest())), JobAlreadyActive)
    await world.work_off()
    again = value_of(await world.request(principal(), job.video_id, SpecRequest(sample_fps=1.0))).job
    await world.work_off()

    assert (await world.job(again)).status is JobStatus.SUCCEEDED


async def test_a_model_that_was_replaced_meanwhile_does_not_pass_for_the_promised_one() -> None:
    world = World()
    job = await world.planned()
    world.media.model = replace(MODEL, sha256="b" * 64)

    error_of(await world.run((await world.segments())[0]))

    assert (await world.job(job)).status is JobStatus.FAILED


async def test_the_dispatcher_enqueues_only_what_can_be_begun() -> None:
    world = World()
    for _ in range(3):
        await world.registered()

    assert await world.dispatch() == 2
    world.task_queue.waiting = 2
    assert await world.dispatch() == 0
    world.task_queue.waiting = 1
    assert await world.dispatch() == 1


async def test_a_lost_message_is_sent_again() -> None:
    world = World()
    await world.registered()
    assert await world.dispatch() == 1
    assert await world.dispatch() == 0

    world.clock.advance(10)

    assert await world.dispatch() == 1
    assert len({work.id for work in world.task_queue.enqueued}) == 1


async def test_tenants_take_turns_even_when_work_is_taken_one_piece_at_a_time() -> None:
    world = World()
    for tenant in ("busy", "busy", "busy", "small"):
        value_of(await world.register(principal(tenant=tenant), Incoming()))
        world.clock.advance(1)
    world.task_queue.waiting = 1

    for _ in range(3):
        assert await world.dispatch() == 1

    assert [work.tenant_id.value for work in world.task_queue.enqueued] == ["busy", "small", "busy"]
