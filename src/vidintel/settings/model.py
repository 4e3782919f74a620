"""Settings: nested groups with their defaults; `vidintel.settings.sources` says where values come from.

The docstrings and descriptions here are published, in ``config/``: ``make config`` after every change.
"""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MiddlewareName = Literal["metrics", "request_id", "tracing", "access_log", "security_headers", "cors"]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Group):
    """``url`` is ``postgresql+asyncpg://…``; left out, the embedded server under the data directory is used."""

    url: SecretStr | None = None
    pool_size: int = Field(10, ge=1, description="connections that a process keeps")
    max_overflow: int = Field(10, ge=0, description="connections beyond these, while they are needed")
    pool_timeout_s: float = Field(10.0, gt=0, description="how long a request waits for a connection of the pool")
    statement_timeout_s: float = Field(30.0, gt=0)
    lock_timeout_s: float = Field(10.0, gt=0, description="how long a statement waits for rows that others have locked")
    idle_in_transaction_timeout_s: float = Field(60.0, gt=0, description="then the server hangs up")


class RedisSettings(_Group):
    """``url`` is ``redis://…`` or ``rediss://…``; left out, everything that Redis would do happens in each process.

    Keys begin with ``namespace``. What is kept there can be lost completely: the database is the truth.
    """

    url: SecretStr | None = None
    namespace: str = Field("vidintel", pattern=r"^[a-z0-9_-]+$")


class CacheSettings(_Group):
    """What each process keeps of the answers that are asked for most: ``entries`` of each kind, 0 for none."""

    entries: int = Field(10_000, ge=0)
    ttl_s: float = Field(5.0, gt=0, le=60)


class StorageSettings(_Group):
    """``min_free_bytes`` stay free on the disk: an upload that would eat into them is refused."""

    root: Path | None = Field(None, description="where the videos lie; left out, in the data directory")
    min_free_bytes: int = Field(256 * 1024**2, ge=0)


class S3Settings(_Group):
    """With a ``bucket``, videos and pictures lie there and not on the local disk.

    Without ``access_key_id`` and ``secret_access_key``, AWS's usual places are looked at, such as the machine's role.
    """

    bucket: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    endpoint_url: str | None = Field(None, description="of a server that is not AWS, for example http://minio:9000")
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    path_style: bool = Field(False, description="the bucket in the path, as most servers that are not AWS want it")
    encryption: Literal["AES256", "aws:kms"] | None = Field(None, description="by the server; left out, its default")
    kms_key_id: str | None = Field(None, description="left out, the account's own key")
    content: Literal["stream", "redirect"] = Field("stream", description="how /content is answered")
    link_s: int = Field(300, ge=1, le=7 * 86_400, description="how long a link that is redirected to is good")
    connections: int = Field(16, ge=1, description="calls of a process at once; as many threads")
    connect_timeout_s: float = Field(2.0, gt=0)
    read_timeout_s: float = Field(10.0, gt=0)
    attempts: int = Field(3, ge=1, description="of each call, with growing and random pauses")

    @model_validator(mode="after")
    def _what_goes_together(self) -> "S3Settings":
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key are given together")
        if self.kms_key_id is not None and self.encryption != "aws:kms":
            raise ValueError("kms_key_id is for encryption aws:kms")
        return self


class CircuitSettings(_Group):
    """When something that we reach over the network is taken to be down: calls fail at once then."""

    failures: int = Field(5, ge=1, description="in a row")
    cool_down_s: float = Field(10.0, gt=0, description="before one call may try again")


class LimitSettings(_Group):
    """What is refused."""

    max_upload_bytes: int = Field(4 * 1024**3, gt=0, description="of a video")
    max_body_bytes: int = Field(1024**2, gt=0, description="of requests that carry no file")
    max_duration_s: float = Field(6 * 3600.0, gt=0, description="of a video")
    max_side_px: int = Field(8192, ge=16, description="width and height of a video")


class AnalysisSettings(_Group):
    """``model`` is the default model; ``models_dir`` holds the registry, the models that ship with us when left out."""

    model: str = "traffic-yolov8n"
    models_dir: Path | None = None
    sample_fps: float = Field(5.0, gt=0, le=240, description="frames looked at per second, when a request names none")
    segment_s: float = Field(10.0, gt=0, description="shortest length of a segment, the last one apart")


Days = Annotated[float, Field(gt=0, le=36_500)]


class RetentionSettings(_Group):
    """After how many days videos are deleted, with all that was made of them. Applies to those that are there, too."""

    days: Days | None = Field(None, description="left out, without a limit")
    tenants: dict[str, Days | None] = Field({}, description="by tenant, instead of that")


class WorkSettings(_Group):
    """How work is handed out, held and tried again. Seconds throughout.

    After ``stall_s`` without a sign of life work is taken for hanging.
    ``memory_bytes`` is for each piece of work at once, and as much again for the process itself.
    """

    concurrency: int = Field(2, ge=1, description="pieces of work at once in a worker process")
    max_attempts: int = Field(3, ge=1, description="errors of a piece of work, before the job fails")
    max_deaths: int = Field(3, ge=1, description="of processes that ran nothing but this piece of work, likewise")
    max_interruptions: int = Field(100, ge=1, description="of its processes from outside, likewise")
    retry_base_s: float = Field(1.0, ge=0, description="the first delay; each further one is twice as long")
    retry_cap_s: float = Field(60.0, ge=0, description="the longest delay")
    lease_s: float = Field(15.0, gt=0, description="a worker that is silent for longer loses its work")
    heartbeat_s: float = Field(1.0, gt=0)
    stall_s: float = Field(120.0, gt=0)
    redispatch_s: float = Field(5.0, gt=0, description="a message that no worker has taken is sent again")
    poll_s: float = Field(1.0, gt=0, description="how often due work is looked for")
    sweep_s: float = Field(2.0, gt=0, description="how often expired leases are looked for")
    drain_s: float = Field(30.0, ge=0, description="time to finish on SIGTERM, before work is released")
    memory_bytes: int = Field(3 * 1024**3, ge=1024**3)
    recycle_bytes: int | None = Field(
        4 * 1024**3, gt=0, description="a worker process that has grown beyond ends between two pieces of work"
    )

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> "WorkSettings":
        if self.lease_s < 3 * self.heartbeat_s:
            raise ValueError("lease_s must be at least three times heartbeat_s")
        return self


class EventSettings(_Group):
    """How events reach their subscribers, and how long they are kept.

    After ``retention_days`` an event is removed unless a subscriber is still to be told of it. Dead letters, and what
    is kept for a subscriber that no worker serves, are removed after that time as well.
    """

    retention_days: float = Field(7.0, gt=0, le=36_500)
    handle_s: float = Field(30.0, gt=0, description="the longest time that a subscriber may take for a batch of events")
    max_attempts: int = Field(10, ge=1, description="of the delivery of an event, before it becomes a dead letter")
    retry_base_s: float = Field(1.0, ge=0, description="the first delay; each further one is twice as long")
    retry_cap_s: float = Field(300.0, ge=0, description="the longest delay")

    @model_validator(mode="after")
    def _delays_fit(self) -> "EventSettings":
        if self.retry_cap_s < self.retry_base_s:
            raise ValueError("retry_cap_s must be at least retry_base_s")
        return self


class AuthSettings(_Group):
    """Clerk's session tokens, verified without a network call. ``jwt_key`` is the instance's public key (PEM)."""

    jwt_key: SecretStr | None = None
    issuer: str | None = Field(None, description="URL of the Clerk instance")
    authorized_parties: tuple[str, ...] = Field((), description="origins (azp) that tokens may be made for; empty: any")

    @model_validator(mode="after")
    def _key_and_issuer_go_together(self) -> "AuthSettings":
        if (self.jwt_key is None) != (self.issuer is None):
            raise ValueError("jwt_key and issuer are given together")
        return self


class HttpSettings(_Group):
    """Where the API listens, and what every request passes: ``middleware``, the outermost first."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    cors_origins: tuple[str, ...] = Field((), description="origins whose pages may call the API")
    drain_s: float = Field(5.0, ge=0, description="`vidintel api` on SIGTERM: not ready, but still answering")
    finish_s: float = Field(30.0, ge=0, description="then, for requests under way, before they are cut off")
    middleware: tuple[MiddlewareName, ...] = get_args(MiddlewareName)


class MetricsSettings(_Group):
    """For Prometheus: ``/metrics`` of the API, and of each worker on a port of its own.

    With a ``token``, the API's wants it as bearer token. Without one, it answers direct requests from this machine
    only.
    """

    token: SecretStr | None = None
    worker_host: str = "127.0.0.1"
    worker_port: int | None = Field(None, ge=0, le=65535, description="0 for any free one; left out, none")


class TracingSettings(_Group):
    """OpenTelemetry. Needs the extra ``vidintel[otel]``; left out, there are no traces."""

    endpoint: str | None = Field(None, description="of an OTLP/HTTP collector: http://collector:4318/v1/traces")
    sample_ratio: float = Field(1.0, ge=0, le=1, description="of the requests that begin a trace here")


class LogSettings(_Group):
    """Logs go to standard error, one event per line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(BaseSettings):
    """Everything that can be configured. ``data_dir`` holds the embedded database, the objects and development keys."""

    model_config = SettingsConfigDict(
        env_prefix="VIDINTEL_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    data_dir: Path = Path("data")
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    cache: CacheSettings = CacheSettings()
    storage: StorageSettings = StorageSettings()
    s3: S3Settings = S3Settings()
    circuit: CircuitSettings = CircuitSettings()
    limits: LimitSettings = LimitSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    retention: RetentionSettings = RetentionSettings()
    work: WorkSettings = WorkSettings()
    events: EventSettings = EventSettings()
    auth: AuthSettings = AuthSettings()
    http: HttpSettings = HttpSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()


RELOADABLE: tuple[str, ...] = ("log.level", "limits", "analysis.sample_fps", "retention", "circuit")
"""What takes effect without a restart, by dotted name: single settings or whole groups.

Who adds one makes sure that the value is read through `LiveSettings.current` each time it is needed, and that no rule
of its group ties it to a setting that is not listed.
"""
