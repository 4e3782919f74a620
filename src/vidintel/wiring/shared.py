"""The providers of every process: settings, clock, telemetry, storage, database and cache."""

from datetime import timedelta
from importlib.metadata import version

from dependency_injector import containers, providers
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from vidintel.application.jobs.specs import SpecResolver
from vidintel.application.ports import (
    Clock,
    MediaLimits,
    ObjectStorage,
    Tracing,
    UnitOfWork,
    VideoReads,
    WorkNotifications,
)
from vidintel.domain.identity import TenantId
from vidintel.domain.retention import RetentionRules
from vidintel.domain.work import Cause
from vidintel.infrastructure.cache.change_listener import ChangeListener
from vidintel.infrastructure.cache.changes import Changes
from vidintel.infrastructure.cache.reads import CachedVideoReads
from vidintel.infrastructure.cache.redis_level import RedisDocuments
from vidintel.infrastructure.cache.statistics import CountedCaches
from vidintel.infrastructure.clock import SystemClock
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.read_model.reports import ReportDocuments, SqlReportDocuments, StoredVideoReads
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.infrastructure.database.work_notifications import PostgresWorkNotifications
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry
from vidintel.infrastructure.observability.cause import current_cause
from vidintel.infrastructure.observability.collectors import BreakerCollector, CacheCollector, PoolCollector
from vidintel.infrastructure.observability.exposition import Exposition, create_registry
from vidintel.infrastructure.observability.factory import create_tracing
from vidintel.infrastructure.observability.queue import QueueSampler
from vidintel.infrastructure.observability.telemetry import PrometheusTelemetry
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.factory import create_storage
from vidintel.settings.live import LiveSettings
from vidintel.settings.model import CircuitSettings, LimitSettings, Settings
from vidintel.wiring.providers import CONTAINER, Provided, factory, singleton


class SharedWiring(containers.DeclarativeContainer):
    """The providers that the API and the workers share."""

    __self__ = CONTAINER

    settings: Provided[Settings] = providers.Dependency(instance_of=Settings)
    database_url: Provided[str] = providers.Dependency(instance_of=str)

    def __getattr__(self, name: str) -> None:  # type: ignore[override]  # else mypy takes a misspelt name for a provider
        raise AttributeError(name)

    # What `RELOADABLE` names is read from `live` each time it is needed. The rest is fixed at start-up.

    @singleton
    def live(self) -> LiveSettings:
        return LiveSettings(self.settings())

    @factory
    def limits(self) -> LimitSettings:
        return self.live().current.limits

    @factory
    def max_upload_bytes(self) -> int:
        return self.limits().max_upload_bytes

    @factory
    def media_limits(self) -> MediaLimits:
        limits = self.limits()
        return MediaLimits(max_duration_s=limits.max_duration_s, max_side_px=limits.max_side_px)

    @factory
    def sample_fps(self) -> float:
        return self.live().current.analysis.sample_fps

    @factory
    def circuit_settings(self) -> CircuitSettings:
        return self.live().current.circuit

    @factory
    def retention(self) -> RetentionRules:
        def kept(days: float | None) -> timedelta | None:
            return None if days is None else timedelta(days=days)

        settings = self.live().current.retention
        return RetentionRules(
            kept(settings.days), {TenantId(name): kept(days) for name, days in settings.tenants.items()}
        )

    @singleton
    def clock(self) -> Clock:
        return SystemClock()

    @singleton
    def tracing(self) -> Tracing:
        return create_tracing(self.settings().tracing)

    @singleton
    def metrics_registry(self) -> CollectorRegistry:
        return create_registry(version("vidintel"))

    @singleton
    def telemetry(self) -> PrometheusTelemetry:
        return PrometheusTelemetry(self.metrics_registry())

    @singleton
    def circuits(self) -> CircuitBreakers:
        return CircuitBreakers(self.circuit_settings, self.settings().redis)

    @singleton
    def storage(self) -> ObjectStorage:
        return create_storage(self.settings(), self.circuits())

    @singleton
    def registry(self) -> DirectoryModelRegistry:
        analysis = self.settings().analysis
        return DirectoryModelRegistry.serving(analysis.model, analysis.models_dir)

    @factory
    def specs(self) -> SpecResolver:
        return SpecResolver(self.registry(), sample_fps=self.sample_fps)

    @singleton
    def exposition(self) -> Exposition:
        registry = self.metrics_registry()
        return Exposition(
            registry,
            samplers=[QueueSampler(self.engine(), registry)],
            collectors=[
                PoolCollector([self.engine()]),
                BreakerCollector(self.circuits().states),
                CacheCollector(self.cache_statistics()),
            ],
        )

    @singleton
    def engine(self) -> AsyncEngine:
        return create_engine(self.database_url(), self.settings().database)

    @singleton
    def sessions(self) -> async_sessionmaker[AsyncSession]:
        return create_session_factory(self.engine())

    @singleton
    def query_sessions(self) -> async_sessionmaker[AsyncSession]:
        return create_session_factory(self.engine(), read_only=True)

    @factory
    def cause(self) -> Cause:
        return current_cause(self.tracing())

    @factory
    def uow(self) -> UnitOfWork:
        return SqlUnitOfWork(self.sessions(), self.changes().note, cause=self.cause)

    @factory
    def query_uow(self) -> UnitOfWork:
        return SqlUnitOfWork(self.query_sessions())

    @singleton
    def notifications(self) -> WorkNotifications:
        return PostgresWorkNotifications(self.database_url())

    @singleton
    def changes(self) -> Changes:
        return Changes()

    @singleton
    def change_listener(self) -> ChangeListener:
        return ChangeListener(self.database_url(), self.changes())

    @singleton
    def cache_statistics(self) -> CountedCaches:
        return CountedCaches()

    @singleton
    def documents(self) -> ReportDocuments:
        settings = self.settings()
        stored = SqlReportDocuments(self.database_url(), settings.database)
        if settings.redis.url is None:
            return stored
        return RedisDocuments(
            source=stored,
            url=settings.redis.url.get_secret_value(),
            writes=self.changes().writes,
            counted=self.cache_statistics(),
            namespace=settings.redis.namespace,
        )

    @singleton
    def video_reads(self) -> VideoReads:
        cache, stored = self.settings().cache, StoredVideoReads(self.documents())
        if not cache.entries:
            return stored
        return CachedVideoReads(
            source=stored,
            changes=self.changes(),
            counted=self.cache_statistics(),
            entries=cache.entries,
            ttl_s=cache.ttl_s,
        )
