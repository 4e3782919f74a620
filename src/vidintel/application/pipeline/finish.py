"""The last stage of a job: aggregates tracks over the whole video, and counts and publishes the results."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from vidintel.application.jobs.work import FINISH, lock_video_and_job
from vidintel.application.pipeline.plan import JobInWork, begin_stage, fail_job_of
from vidintel.application.pipeline.snapshots import SnapshotSet, TakeSnapshots, snapshot_requests, snapshots_result
from vidintel.application.pipeline.spooling import FindingsSpool
from vidintel.application.pipeline.track_aggregation import TrackAggregation
from vidintel.application.ports import SILENT, Clock, Telemetry, TrackerFactory, UnitOfWork, UnitOfWorkFactory
from vidintel.application.retry import retried
from vidintel.application.work.handler import WorkHandler
from vidintel.application.work.lease import Lease
from vidintel.domain.analysis import AnalysisJob, JobStage, JobStatus
from vidintel.domain.detection import FrameDetections
from vidintel.domain.events import Event
from vidintel.domain.results import JobResults
from vidintel.domain.shots import shot_changes
from vidintel.domain.video import Failure, WarningSummary
from vidintel.domain.work import WorkItem

_BATCH_DETECTIONS = 2_000


class FinishJob(WorkHandler[JobInWork]):
    """After the last segment: aggregate tracks, count, make snapshots, store the results, and end the job.

    The findings are collected in a temporary file, outside any transaction. The transaction that ends the job also
    publishes them, so a crash leaves no partial results, and a worker that lost its lease writes none.
    """

    kind = FINISH

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        new_tracker: TrackerFactory,
        take_snapshots: TakeSnapshots,
        clock: Clock,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._uow = uow
        self._new_tracker = new_tracker
        self._take_snapshots = take_snapshots
        self._clock = clock
        self._telemetry = telemetry

    async def begin(self, uow: UnitOfWork, item: WorkItem) -> JobInWork:
        return await begin_stage(uow, item, JobStage.FINISH, self._clock.now())

    async def run(self, subject: JobInWork, lease: Lease) -> None:
        video, claimed = subject.video, subject.job
        interval_s = claimed.spec.frame_interval_s(video.media.frame_rate if video.media is not None else 0.0)
        aggregation = TrackAggregation(
            claimed.spec, self._new_tracker(interval_s, claimed.spec.track_confidence), interval_s
        )
        with FindingsSpool() as spool:
            await self._aggregate(claimed, aggregation, spool, lease)
            async with self._uow() as uow:
                progress = await uow.jobs.progress(claimed.tenant_id, claimed.id)
                warnings = WarningSummary.of(await uow.segments.warnings(claimed.id))
                shots = shot_changes(await uow.segments.shots(claimed.id))
                frames_reused = await uow.segments.frames_reused(claimed.id)
            requests = snapshot_requests(video, aggregation)
            attempt = f"{claimed.run_number}-{lease.token}"
            snapshots = await self._take_snapshots(video, claimed, attempt, requests, lease.check)
            results = JobResults(
                summary=aggregation.summary(progress.frames_done, frames_reused, warnings),
                timeline=aggregation.timeline(shots),
                snapshots=snapshots_result(requests, snapshots.made, aggregation),
            )
            try:
                await self._end(subject, lease, spool, results, snapshots)
            except BaseException:
                await asyncio.shield(self._take_snapshots.discard(claimed, snapshots))
                raise
        self._telemetry.job_ended(JobStatus.SUCCEEDED)

    async def give_up(self, uow: UnitOfWork, item: WorkItem, failure: Failure, now: datetime) -> None:
        await fail_job_of(uow, item, failure, now, self._telemetry)

    def log_context(self, subject: JobInWork) -> dict[str, str]:
        return subject.log_context()

    async def _aggregate(
        self, job: AnalysisJob, aggregation: TrackAggregation, spool: FindingsSpool, lease: Lease
    ) -> None:
        """Feed the job's detections to ``aggregation`` in a thread, in batches, each read in its own transaction.

        The detections do not change meanwhile: all segments are done, and only deleting the job removes them.
        """

        def aggregate(frames: Sequence[FrameDetections]) -> None:
            spool.add(aggregation.add(frames))

        after = -1
        while frames := await self._read(job, after):
            lease.check()
            await asyncio.to_thread(aggregate, frames)
            after = frames[-1].frame
        lease.check()
        await asyncio.to_thread(lambda: spool.add(aggregation.close()))

    @retried
    async def _read(self, job: AnalysisJob, after: int) -> Sequence[FrameDetections]:
        async with self._uow() as uow:
            return await uow.detections.frames(job.id, after=after, limit=_BATCH_DETECTIONS)

    @retried
    async def _end(
        self,
        subject: JobInWork,
        lease: Lease,
        spool: FindingsSpool,
        results: JobResults,
        snapshots: SnapshotSet,
    ) -> None:
        async with self._uow() as uow:
            # Before any row is locked, so that heartbeats continue meanwhile.
            for found in spool.parts():
                await uow.tracks.stage(found.frames, found.tracks)
            now = self._clock.now()
            video, job = await lock_video_and_job(uow, subject.item)
            job.succeed(now)
            video.complete(job.id, now)
            await uow.results.put(job, results)
            await uow.tracks.publish(job)
            await self._take_snapshots.keep(uow, job, snapshots)
            await uow.jobs.save(job)
            await uow.videos.save(video)
            await uow.outbox.add(Event.job_ended(job, now))
            await lease.complete(uow)
            await uow.commit()
