"""The container of a worker process."""

import os
import socket
import sys
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from vidintel.application.events.delivery import DeliverEvents, DeliveryRules, RemoveEvents
from vidintel.application.pipeline.finish import FinishJob
from vidintel.application.pipeline.frame_stages import FrameStages
from vidintel.application.pipeline.frames import FramePipeline
from vidintel.application.pipeline.plan import PlanJob
from vidintel.application.pipeline.segment import RunSegment
from vidintel.application.pipeline.snapshots import TakeSnapshots
from vidintel.application.ports import (
    Detectors,
    EventSubscriber,
    TrackerFactory,
    VideoDecoder,
)
from vidintel.application.videos.retention import ApplyRetention
from vidintel.application.work.dispatch import DispatchWork
from vidintel.application.work.garbage import CollectGarbage, PurgeUnfinished
from vidintel.application.work.handler import WorkHandlers
from vidintel.application.work.isolation import RunAlone, SoloProcess
from vidintel.application.work.lease import WorkerIdentity
from vidintel.application.work.reclaim import ReclaimWork
from vidintel.application.work.recurring import RecurringWork, ScheduleRecurringWork
from vidintel.application.work.runner import LeaseRules, LeaseRunner
from vidintel.application.work.setbacks import RecordSetback
from vidintel.domain.work import RetryPolicy
from vidintel.infrastructure.memory import resident_bytes, return_free_memory
from vidintel.infrastructure.tasks.in_process import InProcessTaskEngine
from vidintel.infrastructure.tasks.redis import RedisTaskEngine
from vidintel.infrastructure.tasks.solo_process import ChildProcess
from vidintel.presentation.worker import WorkerServices
from vidintel.wiring.providers import CONTAINER, factory, singleton
from vidintel.wiring.shared import SharedWiring


def _die() -> None:
    """End this process at once: its supervisor starts another, which frees what this one held."""
    os._exit(os.EX_SOFTWARE)


class WorkerWiring(SharedWiring):
    """The handlers of background work, and their dependencies.

    Modules that decode, detect and track are imported at their first use, so that the API process loads neither FFmpeg
    nor OpenVINO. Its image does not contain OpenVINO.
    """

    __self__ = CONTAINER

    @singleton
    def owner(self) -> str:
        return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    @singleton
    def identity(self) -> WorkerIdentity:
        return WorkerIdentity(self.owner())

    @factory
    def retry(self) -> RetryPolicy:
        work = self.settings().work
        return RetryPolicy(
            max_attempts=work.max_attempts,
            base_s=work.retry_base_s,
            cap_s=work.retry_cap_s,
            max_deaths=work.max_deaths,
            max_interruptions=work.max_interruptions,
        )

    @factory
    def lease_rules(self) -> LeaseRules:
        work = self.settings().work
        return LeaseRules(lease=timedelta(seconds=work.lease_s), heartbeat_s=work.heartbeat_s, stall_s=work.stall_s)

    @singleton
    def task_engine(self) -> InProcessTaskEngine | RedisTaskEngine:
        redis, concurrency = self.settings().redis, self.settings().work.concurrency
        if redis.url is None:
            return InProcessTaskEngine(concurrency=concurrency)
        return RedisTaskEngine(redis.url.get_secret_value(), namespace=redis.namespace, concurrency=concurrency)

    @singleton
    def decoder(self) -> VideoDecoder:
        from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

        return PyAvVideoDecoder()

    @singleton
    def detectors(self) -> Detectors:
        from vidintel.infrastructure.inference.detectors import LoadedDetectors

        return LoadedDetectors(self.registry(), self.settings().data_dir / "model-cache", telemetry=self.telemetry())

    @singleton
    def frame_stages(self) -> FrameStages:
        from vidintel.infrastructure.media.appearance import ColourGridEncoder
        from vidintel.infrastructure.media.colour_histogram import HsvColourHistogram
        from vidintel.infrastructure.media.frame_differencing import BlockFrameDifferencer

        return FrameStages(
            colours=HsvColourHistogram(), differencer=BlockFrameDifferencer(), encoder=ColourGridEncoder()
        )

    @factory
    def frame_pipeline(self) -> FramePipeline:
        return FramePipeline(
            storage=self.storage(),
            decoder=self.decoder(),
            detectors=self.detectors(),
            stages=self.frame_stages(),
            telemetry=self.telemetry(),
        )

    @factory
    def new_tracker(self) -> TrackerFactory:
        from vidintel.infrastructure.tracking.tracker import MotionTracker

        return MotionTracker

    @factory
    def take_snapshots(self) -> TakeSnapshots:
        from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
        from vidintel.infrastructure.media.snapshots import PyAvSnapshotExtractor

        return TakeSnapshots(
            uow=self.uow,
            storage=self.storage(),
            extractor=PyAvSnapshotExtractor(PyAvVideoDecoder()),
            clock=self.clock(),
            stall_s=self.settings().work.stall_s,
        )

    @factory
    def plan_job(self) -> PlanJob:
        return PlanJob(
            uow=self.uow,
            storage=self.storage(),
            decoder=self.decoder(),
            clock=self.clock(),
            segment_s=self.settings().analysis.segment_s,
            limits=self.media_limits,
            telemetry=self.telemetry(),
        )

    @factory
    def run_segment(self) -> RunSegment:
        return RunSegment(
            uow=self.uow,
            pipeline=self.frame_pipeline(),
            clock=self.clock(),
            telemetry=self.telemetry(),
        )

    @factory
    def finish_job(self) -> FinishJob:
        return FinishJob(
            uow=self.uow,
            new_tracker=self.new_tracker(),
            take_snapshots=self.take_snapshots(),
            clock=self.clock(),
            telemetry=self.telemetry(),
        )

    @singleton
    def handlers(self) -> WorkHandlers:
        """Every kind of background work. A new one is registered here."""
        half_a_minute, hour = timedelta(seconds=30), timedelta(hours=1)
        return WorkHandlers(
            [
                self.plan_job(),
                self.run_segment(),
                self.finish_job(),
                RecurringWork("storage.collect", self.collect_garbage(), every=half_a_minute),
                RecurringWork("storage.purge", PurgeUnfinished(self.storage()), every=hour),
                RecurringWork("retention.apply", self.apply_retention(), every=half_a_minute),
                RecurringWork("events.remove", self.remove_events(), every=half_a_minute),
            ]
        )

    @factory
    def collect_garbage(self) -> CollectGarbage:
        return CollectGarbage(self.uow, self.storage(), self.clock())

    @factory
    def apply_retention(self) -> ApplyRetention:
        return ApplyRetention(self.uow, self.clock(), self.retention)

    @factory
    def setbacks(self) -> RecordSetback:
        return RecordSetback(
            uow=self.uow,
            clock=self.clock(),
            handlers=self.handlers(),
            policy=self.retry(),
            telemetry=self.telemetry(),
        )

    @factory
    def runner(self) -> LeaseRunner:
        return LeaseRunner(
            uow=self.uow,
            clock=self.clock(),
            handlers=self.handlers(),
            worker=self.identity(),
            rules=self.lease_rules(),
            setbacks=self.setbacks(),
            telemetry=self.telemetry(),
        )

    @factory
    def reclaim(self) -> ReclaimWork:
        return ReclaimWork(uow=self.uow, clock=self.clock(), setbacks=self.setbacks(), telemetry=self.telemetry())

    @singleton
    def solo_process(self) -> SoloProcess:
        """Children are told what they cannot read from the environment that they inherit."""
        settings = self.settings()
        arguments = ["--with-parent", "--data-dir", os.fspath(settings.data_dir), "--model", settings.analysis.model]
        return ChildProcess([sys.executable, "-m", "vidintel", "worker", *arguments])

    @factory
    def dispatch(self) -> DispatchWork:
        return DispatchWork(
            uow=self.uow,
            task_queue=self.task_engine(),
            clock=self.clock(),
            kinds=self.handlers(),
            redispatch=timedelta(seconds=self.settings().work.redispatch_s),
        )

    @factory
    def event_subscribers(self) -> Sequence[EventSubscriber]:
        """Every subscriber of events is registered here."""
        return []

    @factory
    def deliver_events(self) -> Sequence[DeliverEvents]:
        events = self.settings().events
        retry = RetryPolicy(max_attempts=events.max_attempts, base_s=events.retry_base_s, cap_s=events.retry_cap_s)
        rules = DeliveryRules(handle_s=events.handle_s, retry=retry)
        return [
            DeliverEvents(uow=self.uow, subscriber=subscriber, clock=self.clock(), rules=rules)
            for subscriber in self.event_subscribers()
        ]

    @factory
    def remove_events(self) -> RemoveEvents:
        return RemoveEvents(self.uow, self.clock(), keep=timedelta(days=self.settings().events.retention_days))

    @factory
    def worker_services(self) -> WorkerServices:
        return WorkerServices(
            identity=self.identity(),
            engine=self.task_engine(),
            notifications=self.notifications(),
            runner=self.runner(),
            run_alone=RunAlone(self.solo_process(), self.reclaim(), self.identity()),
            dispatch=self.dispatch(),
            reclaim=self.reclaim(),
            schedule_recurring=ScheduleRecurringWork(self.uow, self.clock(), self.handlers()),
            deliver_events=self.deliver_events(),
            settings=self.settings().work,
            telemetry=self.telemetry(),
            tracing=self.tracing(),
            die=_die,
            memory=resident_bytes,
            return_memory=return_free_memory,
        )
