"""The one place that knows everybody: which adapter stands behind which port, and what each use case is given."""

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from dependency_injector import containers, providers

from vidintel.application.events.delivery import DeliverEvents, DeliveryRules, RemoveEvents
from vidintel.application.jobs.requests import CancelJob, GetJob, ListJobs, RequestAnalysis, RetryJob
from vidintel.application.jobs.specs import SpecResolver
from vidintel.application.pipeline.finish import FinishJob
from vidintel.application.pipeline.frame_stages import FrameStages
from vidintel.application.pipeline.frames import FramePipeline
from vidintel.application.pipeline.plan import PlanJob
from vidintel.application.pipeline.segment import RunSegment
from vidintel.application.pipeline.snapshots import OpenPicture, TakeSnapshots
from vidintel.application.ports import (
    AppearanceEncoder,
    Clock,
    ColourHistogram,
    Detectors,
    EventSubscriber,
    FrameDifferencer,
    MediaLimits,
    NoTracing,
    SnapshotExtractor,
    Telemetry,
    Tracing,
    Tracker,
    UnitOfWorkFactory,
    VideoDecoder,
    VideoReads,
)
from vidintel.application.queries.detections import ListDetections
from vidintel.application.queries.frames import RenderFrame
from vidintel.application.queries.models import ListModels
from vidintel.application.queries.readiness import CheckReadiness
from vidintel.application.queries.results import GetResults, GetTimeline
from vidintel.application.queries.tracks import ListTracks
from vidintel.application.videos.acceptance import AcceptContent
from vidintel.application.videos.content import OpenContent
from vidintel.application.videos.library import DeleteVideo, GetVideo, ListVideos, UpdateVideo
from vidintel.application.videos.registration import RegisterVideo
from vidintel.application.videos.retention import ApplyRetention
from vidintel.application.work.dispatch import DispatchWork
from vidintel.application.work.garbage import CollectGarbage
from vidintel.application.work.lease import WorkerIdentity
from vidintel.application.work.reclaim import ReclaimWork
from vidintel.application.work.stages import WorkRules
from vidintel.domain.identity import TenantId
from vidintel.domain.retention import RetentionRules
from vidintel.domain.work import RetryPolicy
from vidintel.infrastructure.cache.change_listener import ChangeListener
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.cache.reads import CachedVideoReads
from vidintel.infrastructure.cache.redis_level import RedisDocuments, create_cache_client
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.clock import SystemClock
from vidintel.infrastructure.database.engine import check_database, create_engine, create_session_factory
from vidintel.infrastructure.database.read_model.reports import ReportDocuments, SqlReportDocuments, StoredVideoReads
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.infrastructure.database.work_contexts import SqlWorkContexts, current_cause
from vidintel.infrastructure.database.work_notifications import PostgresWorkNotifications
from vidintel.infrastructure.identity.clerk import ClerkTokenVerifier
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry
from vidintel.infrastructure.media.rendering import SubprocessFrameRenderer
from vidintel.infrastructure.memory import resident_bytes, return_free_memory
from vidintel.infrastructure.observability.collectors import BreakerCollector, CacheCollector, PoolCollector
from vidintel.infrastructure.observability.exposition import Exposition, create_registry
from vidintel.infrastructure.observability.queue import QueueSampler
from vidintel.infrastructure.observability.telemetry import PrometheusTelemetry
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.factory import StoredOpener, create_storage
from vidintel.infrastructure.tasks.in_process import InProcessTaskEngine
from vidintel.infrastructure.tasks.redis import RedisTaskEngine
from vidintel.presentation.http.dependencies import HttpServices
from vidintel.presentation.worker import WorkerServices
from vidintel.settings.errors import CannotRun
from vidintel.settings.live import LiveSettings
from vidintel.settings.model import (
    AuthSettings,
    CacheSettings,
    EventSettings,
    LimitSettings,
    RedisSettings,
    RetentionSettings,
    Settings,
    TracingSettings,
    WorkSettings,
)


def _work_rules(work: WorkSettings) -> WorkRules:
    return WorkRules(
        lease=timedelta(seconds=work.lease_s),
        heartbeat_s=work.heartbeat_s,
        retry=_retry(work),
        stall_s=work.stall_s,
    )


def _retry(work: WorkSettings) -> RetryPolicy:
    return RetryPolicy(max_attempts=work.max_attempts, base_s=work.retry_base_s, cap_s=work.retry_cap_s)


def _deliveries(
    subscribers: Sequence[EventSubscriber], *, uow: UnitOfWorkFactory, clock: Clock, events: EventSettings
) -> Sequence[DeliverEvents]:
    retry = RetryPolicy(max_attempts=events.max_attempts, base_s=events.retry_base_s, cap_s=events.retry_cap_s)
    rules = DeliveryRules(handle_s=events.handle_s, retry=retry)
    return [DeliverEvents(uow, subscriber, clock, rules) for subscriber in subscribers]


def _media_limits(limits: LimitSettings) -> MediaLimits:
    return MediaLimits(max_duration_s=limits.max_duration_s, max_side_px=limits.max_side_px)


def _retention(settings: RetentionSettings) -> RetentionRules:
    def kept(days: float | None) -> timedelta | None:
        return None if days is None else timedelta(days=days)

    return RetentionRules(kept(settings.days), {TenantId(name): kept(days) for name, days in settings.tenants.items()})


def _token_verifier(auth: AuthSettings, counted: CountedCaches) -> ClerkTokenVerifier:
    if auth.jwt_key is None or auth.issuer is None:
        raise CannotRun(
            "Set VIDINTEL_AUTH__JWT_KEY and VIDINTEL_AUTH__ISSUER to your Clerk instance's public key and URL, "
            "or run `vidintel serve` for a development issuer."
        )
    key = auth.jwt_key.get_secret_value()
    return ClerkTokenVerifier(key, auth.issuer, auth.authorized_parties, counted=counted)


def _task_engine_kind(redis: RedisSettings) -> str:
    return "in_process" if redis.url is None else "redis"


def _documents(
    redis: RedisSettings, sql: SqlReportDocuments, changes: Changes, counted: CountedCaches
) -> ReportDocuments:
    if redis.url is None:
        return sql
    client = create_cache_client(redis.url.get_secret_value())
    return RedisDocuments(sql, client, changes.writes, counted, namespace=redis.namespace)


def _video_reads(
    documents: ReportDocuments, changes: Changes, counted: CountedCaches, cache: CacheSettings
) -> VideoReads:
    stored = StoredVideoReads(documents)
    if not cache.entries:
        return stored
    return CachedVideoReads(stored, changes, counted, entries=cache.entries, ttl_s=cache.ttl_s)


def _tracing(settings: TracingSettings) -> Tracing:
    if settings.endpoint is None:
        return NoTracing()
    try:
        from vidintel.infrastructure.observability.tracing import OpenTelemetryTracing, exporting
    except ImportError as error:
        raise CannotRun(f"Traces need OpenTelemetry ({error}): pip install 'vidintel[otel]'.") from error
    return OpenTelemetryTracing(
        exporting(settings.endpoint),
        service="vidintel",
        version=version("vidintel"),
        sample_ratio=settings.sample_ratio,
    )


def _die() -> None:
    """End this process at once: its supervisor starts another, which frees what this one held."""
    os._exit(os.EX_SOFTWARE)


# What decodes, looks and follows is imported when it is first asked for, in workers: the API process loads neither
# FFmpeg nor OpenVINO, and its image lacks OpenVINO altogether.


def _detectors(registry: DirectoryModelRegistry, cache_dir: Path, telemetry: Telemetry) -> Detectors:
    from vidintel.infrastructure.inference.detectors import LoadedDetectors

    return LoadedDetectors(registry, cache_dir, telemetry=telemetry)


def _decoder() -> VideoDecoder:
    from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

    return PyAvVideoDecoder()


def _snapshot_extractor() -> SnapshotExtractor:
    from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
    from vidintel.infrastructure.media.snapshots import PyAvSnapshotExtractor

    return PyAvSnapshotExtractor(PyAvVideoDecoder())


def _colour_histogram() -> ColourHistogram:
    from vidintel.infrastructure.media.colour_histogram import HsvColourHistogram

    return HsvColourHistogram()


def _frame_differencer() -> FrameDifferencer:
    from vidintel.infrastructure.media.frame_differencing import BlockFrameDifferencer

    return BlockFrameDifferencer()


def _appearance_encoder() -> AppearanceEncoder:
    from vidintel.infrastructure.media.appearance import ColourGridEncoder

    return ColourGridEncoder()


def _tracker(frame_interval_s: float, track_confidence: float) -> Tracker:
    from vidintel.infrastructure.tracking.tracker import MotionTracker

    return MotionTracker(frame_interval_s, track_confidence)


class Container(containers.DeclarativeContainer):
    """Wiring. Give it ``settings`` and ``database_url``; override any provider in tests."""

    settings = providers.Dependency(instance_of=Settings)
    database_url = providers.Dependency(instance_of=str)
    owner = providers.Object(f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}")

    # What `RELOADABLE` names is asked of `live` each time it is needed; everything else is fixed when it is wired.
    live = providers.Singleton(LiveSettings, settings)
    live_limits = providers.Callable(lambda live: live.current.limits, live)
    max_upload_bytes = providers.Callable(lambda limits: limits.max_upload_bytes, live_limits)
    media_limits = providers.Callable(_media_limits, live_limits)
    sample_fps = providers.Callable(lambda live: live.current.analysis.sample_fps, live)
    live_circuit = providers.Callable(lambda live: live.current.circuit, live)

    retention = providers.Callable(lambda live: _retention(live.current.retention), live)

    clock = providers.Singleton(SystemClock)
    engine = providers.Singleton(create_engine, database_url, settings.provided.database)
    sessions = providers.Singleton(create_session_factory, engine)
    changes = providers.Singleton(Changes)
    cache_statistics = providers.Singleton(CountedCaches)
    change_listener = providers.Singleton(ChangeListener, database_url, changes)
    tracing = providers.Singleton(_tracing, settings.provided.tracing)
    cause = providers.Callable(current_cause, tracing)
    uow = providers.Factory(SqlUnitOfWork, sessions, changes.provided.note, cause=cause.provider)
    query_sessions = providers.Singleton(create_session_factory, engine, read_only=True)
    query_uow = providers.Factory(SqlUnitOfWork, query_sessions)
    documents = providers.Singleton(
        _documents,
        settings.provided.redis,
        providers.Singleton(SqlReportDocuments, database_url, settings.provided.database),
        changes,
        cache_statistics,
    )
    video_reads = providers.Singleton(_video_reads, documents, changes, cache_statistics, settings.provided.cache)
    notifications = providers.Singleton(PostgresWorkNotifications, database_url)
    metrics_registry = providers.Singleton(create_registry, version("vidintel"))
    telemetry = providers.Singleton(PrometheusTelemetry, metrics_registry)
    circuits = providers.Singleton(CircuitBreakers, live_circuit.provider, settings.provided.redis)
    exposition = providers.Singleton(
        Exposition,
        metrics_registry,
        samplers=providers.List(providers.Factory(QueueSampler, engine, metrics_registry)),
        collectors=providers.List(
            providers.Factory(PoolCollector, providers.List(engine)),
            providers.Factory(BreakerCollector, circuits.provided.states),
            providers.Factory(CacheCollector, cache_statistics),
        ),
    )
    storage = providers.Singleton(create_storage, settings, circuits)
    registry = providers.Singleton(
        DirectoryModelRegistry.serving, settings.provided.analysis.model, settings.provided.analysis.models_dir
    )
    detectors = providers.Singleton(
        _detectors,
        registry,
        cache_dir=providers.Callable(lambda s: s.data_dir / "model-cache", settings),
        telemetry=telemetry,
    )
    decoder = providers.Singleton(_decoder)
    frame_stages = providers.Singleton(
        FrameStages,
        colours=providers.Singleton(_colour_histogram),
        differencer=providers.Singleton(_frame_differencer),
        encoder=providers.Singleton(_appearance_encoder),
    )
    frame_pipeline = providers.Factory(
        FramePipeline,
        storage=storage,
        decoder=decoder,
        detectors=detectors,
        stages=frame_stages,
        telemetry=telemetry,
    )
    tracker = providers.Factory(_tracker)
    take_snapshots = providers.Factory(
        TakeSnapshots,
        uow.provider,
        storage,
        providers.Factory(_snapshot_extractor),
        clock,
        stall_s=settings.provided.work.stall_s,
    )
    renderer = providers.Singleton(SubprocessFrameRenderer, providers.Factory(StoredOpener, settings))
    verifier = providers.Singleton(_token_verifier, settings.provided.auth, cache_statistics)

    specs = providers.Factory(SpecResolver, registry, sample_fps=sample_fps.provider)
    accept_content = providers.Factory(
        AcceptContent, uow.provider, storage, clock, max_upload_bytes=max_upload_bytes.provider
    )
    register_video = providers.Factory(
        RegisterVideo, uow.provider, accept_content, specs, clock, retention=retention.provider
    )
    checks = providers.Dict(
        database=providers.Callable(partial, check_database, engine), storage=storage.provided.check
    )

    http_services = providers.Factory(
        HttpServices,
        register_video=register_video,
        list_videos=providers.Factory(ListVideos, query_uow.provider),
        get_video=providers.Factory(GetVideo, video_reads),
        update_video=providers.Factory(UpdateVideo, uow.provider, clock),
        delete_video=providers.Factory(DeleteVideo, uow.provider, clock),
        open_content=providers.Factory(OpenContent, query_uow.provider, storage),
        request_analysis=providers.Factory(RequestAnalysis, uow.provider, specs, clock),
        list_jobs=providers.Factory(ListJobs, query_uow.provider),
        get_job=providers.Factory(GetJob, video_reads),
        cancel_job=providers.Factory(CancelJob, uow.provider, clock),
        retry_job=providers.Factory(RetryJob, uow.provider, clock),
        list_detections=providers.Factory(ListDetections, query_uow.provider),
        list_tracks=providers.Factory(ListTracks, query_uow.provider),
        get_timeline=providers.Factory(GetTimeline, query_uow.provider),
        open_picture=providers.Factory(OpenPicture, query_uow.provider, storage),
        get_results=providers.Factory(GetResults, query_uow.provider),
        render_frame=providers.Factory(RenderFrame, query_uow.provider, renderer),
        list_models=providers.Factory(ListModels, registry),
        check_readiness=providers.Factory(CheckReadiness, checks, circuits.provided.states),
        verifier=verifier,
        clock=clock,
        meter=telemetry,
        tracing=tracing,
        expose_metrics=exposition,
        http=settings.provided.http,
        metrics=settings.provided.metrics,
        limits=live_limits.provider,
        version=version("vidintel"),
    )

    # Whoever is to be told of events is registered here.
    event_subscribers = providers.List()
    deliver_events = providers.Callable(
        _deliveries, event_subscribers, uow=uow.provider, clock=clock, events=settings.provided.events
    )
    remove_events = providers.Factory(
        RemoveEvents,
        uow.provider,
        clock,
        keep=providers.Callable(lambda events: timedelta(days=events.retention_days), settings.provided.events),
    )

    identity = providers.Singleton(WorkerIdentity, owner)
    rules = providers.Factory(_work_rules, settings.provided.work)
    task_engine = providers.Selector(
        providers.Callable(_task_engine_kind, settings.provided.redis),
        in_process=providers.Singleton(InProcessTaskEngine, concurrency=settings.provided.work.concurrency),
        redis=providers.Singleton(
            RedisTaskEngine,
            settings.provided.redis.url.get_secret_value.call(),
            namespace=settings.provided.redis.namespace,
            concurrency=settings.provided.work.concurrency,
        ),
    )
    worker_services = providers.Factory(
        WorkerServices,
        identity=identity,
        engine=task_engine,
        notifications=notifications,
        plan_job=providers.Factory(
            PlanJob,
            uow.provider,
            storage,
            decoder,
            clock,
            identity,
            rules,
            segment_s=settings.provided.analysis.segment_s,
            limits=media_limits.provider,
            telemetry=telemetry,
        ),
        run_segment=providers.Factory(
            RunSegment,
            uow.provider,
            frame_pipeline,
            clock,
            identity,
            rules,
            telemetry,
        ),
        finish_job=providers.Factory(
            FinishJob, uow.provider, tracker.provider, take_snapshots, clock, identity, rules, telemetry
        ),
        dispatch=providers.Factory(
            DispatchWork,
            uow.provider,
            task_engine,
            clock,
            concurrency=settings.provided.work.concurrency,
            redispatch=providers.Callable(lambda work: timedelta(seconds=work.redispatch_s), settings.provided.work),
        ),
        reclaim=providers.Factory(
            ReclaimWork, uow.provider, clock, providers.Callable(_retry, settings.provided.work), telemetry
        ),
        apply_retention=providers.Factory(ApplyRetention, uow.provider, clock, retention.provider),
        collect_garbage=providers.Factory(CollectGarbage, uow.provider, storage, clock),
        deliver_events=deliver_events,
        remove_events=remove_events,
        settings=settings.provided.work,
        telemetry=telemetry,
        tracing=tracing,
        contexts=providers.Singleton(SqlWorkContexts, engine),
        die=providers.Object(_die),
        memory=providers.Object(resident_bytes),
        return_memory=providers.Object(return_free_memory),
    )
