"""The first stage of a job: probe the video and cut it into segments."""

import asyncio
from uuid import uuid4

from vidintel.application.ports import (
    SILENT,
    Clock,
    Live,
    MediaLimits,
    MediaPlan,
    ObjectStorage,
    Telemetry,
    UnitOfWorkFactory,
    VideoDecoder,
)
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.application.work.lease import Lease, WorkerIdentity
from vidintel.application.work.stages import StageHolder, WorkRules, lock_video_and_job
from vidintel.domain.analysis import AnalysisJob, JobId, JobStage
from vidintel.domain.errors import (
    UnreadableVideo,
)
from vidintel.domain.segment import Segment, SegmentId
from vidintel.domain.video import StoredContent, Video


class PlanJob:
    """Probe the video and cut it into segments; the job runs from now on.

    A job that was planned before (it is being retried) keeps its segments.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        storage: ObjectStorage,
        decoder: VideoDecoder,
        clock: Clock,
        worker: WorkerIdentity,
        rules: WorkRules,
        *,
        segment_s: float,
        limits: Live[MediaLimits],
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._uow = uow
        self._storage = storage
        self._decoder = decoder
        self._clock = clock
        self._stage = StageHolder(uow, clock, worker, rules, telemetry)
        self._segment_s = segment_s
        self._limits = limits

    @as_result
    async def __call__(self, job_id: JobId) -> None:
        video, job, token = await self._stage.claim(job_id, JobStage.PLAN)
        lease = self._stage.new_lease()
        await self._stage.run(job, token, self._plan(video, job, token, lease), lease)

    async def _plan(self, video: Video, job: AnalysisJob, token: int, lease: Lease) -> None:
        async with self._uow() as uow:
            was_planned = await uow.segments.count(job.id) > 0
        content = content_of(video)

        def plan() -> MediaPlan:
            with self._storage.open(content.key) as stream:
                return self._decoder.plan(
                    stream,
                    segment_s=self._segment_s,
                    sample_fps=job.spec.sample_fps,
                    limits=self._limits(),
                    heartbeat=lease.heartbeat,
                )

        await self._begin_segments(job, token, None if was_planned else await asyncio.to_thread(plan))

    @retried
    async def _begin_segments(self, claimed: AnalysisJob, token: int, media_plan: MediaPlan | None) -> None:
        now = self._clock.now()
        async with self._uow() as uow:
            video, job = await lock_video_and_job(uow, claimed)
            job.planned(token, now)
            if media_plan is not None:
                video.describe_media(media_plan.media, now)
                await uow.videos.save(video)
                await uow.segments.add_all(
                    [
                        Segment.cut(
                            segment_id=SegmentId(uuid4()),
                            job=job,
                            span=span,
                            now=now,
                            warnings=media_plan.warnings if span.index == 0 else (),
                        )
                        for span in media_plan.segments
                    ]
                )
            if await uow.segments.count_unfinished(job.id) == 0:
                job.all_segments_done(now)
            await uow.jobs.save(job)
            await uow.notify_work()
            await uow.commit()


def content_of(video: Video) -> StoredContent:
    if video.content is None:
        raise UnreadableVideo("The content of this video is not here.")
    return video.content
