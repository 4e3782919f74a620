"""The last stage of a job: objects followed over the whole video, and everything that is counted from them."""

import asyncio
from collections.abc import Sequence

from vidintel.application.pipeline.snapshots import SnapshotSet, TakeSnapshots, orders_for, snapshots_result
from vidintel.application.pipeline.spooling import FindingsSpool
from vidintel.application.pipeline.track_aggregation import TrackAggregation
from vidintel.application.ports import SILENT, Clock, Telemetry, TrackerFactory, UnitOfWorkFactory
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.work.lease import Lease, WorkerIdentity
from vidintel.application.work.stages import StageHolder, WorkRules, lock_video_and_job
from vidintel.domain.analysis import AnalysisJob, JobId, JobStage, JobStatus
from vidintel.domain.detection import FrameDetections
from vidintel.domain.events import Event
from vidintel.domain.results import JobResults
from vidintel.domain.shots import shot_changes
from vidintel.domain.video import Video, WarningSummary

_BATCH_DETECTIONS = 2_000


class FinishJob:
    """When the last segment is done: follow the objects, sum up, take pictures, store the results, end the job.

    What is found is gathered in a file aside, without a transaction; it is published in the same transaction that ends
    the job: so a crash leaves nothing, and a holder who lost the stage writes nothing.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        new_tracker: TrackerFactory,
        take_snapshots: TakeSnapshots,
        clock: Clock,
        worker: WorkerIdentity,
        rules: WorkRules,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._uow = uow
        self._new_tracker = new_tracker
        self._take_snapshots = take_snapshots
        self._clock = clock
        self._stage = StageHolder(uow, clock, worker, rules, telemetry)
        self._telemetry = telemetry

    @as_result
    async def __call__(self, job_id: JobId) -> None:
        video, job, token = await self._stage.claim(job_id, JobStage.FINISH)
        lease = self._stage.new_lease()
        await self._stage.run(job, token, self._finish(video, job, token, lease), lease)
        self._telemetry.job_ended(JobStatus.SUCCEEDED)

    async def _finish(self, video: Video, claimed: AnalysisJob, token: int, lease: Lease) -> None:
        interval_s = claimed.spec.frame_interval_s(video.media.frame_rate if video.media is not None else 0.0)
        following = TrackAggregation(
            claimed.spec, self._new_tracker(interval_s, claimed.spec.track_confidence), interval_s
        )
        with FindingsSpool() as spool:
            await self._follow(claimed, following, spool, lease)
            async with self._uow() as uow:
                progress = await uow.jobs.progress(claimed.tenant_id, claimed.id)
                warnings = WarningSummary.of(await uow.segments.warnings(claimed.id))
                shots = shot_changes(await uow.segments.shots(claimed.id))
                frames_reused = await uow.segments.frames_reused(claimed.id)
            orders = orders_for(video, following)
            snapshots = await self._take_snapshots(video, claimed, token, orders, lease.check)
            results = JobResults(
                summary=following.summary(progress.frames_done, frames_reused, warnings),
                timeline=following.timeline(shots),
                snapshots=snapshots_result(orders, snapshots.made, following),
            )
            try:
                await self._end(claimed, token, spool, results, snapshots)
            except BaseException:
                await asyncio.shield(self._take_snapshots.discard(claimed, snapshots))
                raise

    async def _follow(self, job: AnalysisJob, following: TrackAggregation, spool: FindingsSpool, lease: Lease) -> None:
        """Feed the job's detections through ``following`` in a thread, some at a time, each read on its own.

        They do not change any more: all segments are done, and only the deletion of the job takes them away.
        """

        def follow(frames: Sequence[FrameDetections]) -> None:
            spool.add(following.add(frames))

        after = -1
        while frames := await self._read(job, after):
            lease.check()
            await asyncio.to_thread(follow, frames)
            after = frames[-1].frame
        lease.check()
        await asyncio.to_thread(lambda: spool.add(following.close()))

    @retried
    async def _read(self, job: AnalysisJob, after: int) -> Sequence[FrameDetections]:
        async with self._uow() as uow:
            return await uow.detections.frames(job.id, after=after, limit=_BATCH_DETECTIONS)

    @retried
    async def _end(
        self,
        claimed: AnalysisJob,
        token: int,
        spool: FindingsSpool,
        results: JobResults,
        snapshots: SnapshotSet,
    ) -> None:
        async with self._uow() as uow:
            # Before anything is locked: heartbeats go on meanwhile.
            for found in spool.parts():
                await uow.tracks.stage(found.frames, found.tracks)
            now = self._clock.now()
            video, job = await lock_video_and_job(uow, claimed)
            job.succeed(token, now)
            video.complete(job.id, now)
            await uow.results.put(job, results)
            await uow.tracks.publish(job)
            await self._take_snapshots.keep(uow, job, snapshots)
            await uow.jobs.save(job)
            await uow.videos.save(video)
            await uow.outbox.add(Event.job_ended(job, now))
            await uow.commit()
