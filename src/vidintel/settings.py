"""Settings: nested groups, from ``VIDINTEL_GROUP__NAME`` environment variables over the defaults here."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MiddlewareName = Literal["request_id", "access_log", "security_headers", "cors", "body_limit"]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Group):
    """``url`` is ``postgresql+asyncpg://…``; left out, the embedded server under the data directory is used."""

    url: SecretStr | None = None
    pool_size: int = Field(10, ge=1)
    max_overflow: int = Field(10, ge=0)
    statement_timeout_s: float = Field(30.0, gt=0)


class RedisSettings(_Group):
    """``url`` is ``redis://…`` or ``rediss://…``; left out, everything that Redis would do happens in each process.

    Keys begin with ``namespace``. What is kept there can be lost completely: the database is the truth.
    """

    url: SecretStr | None = None
    namespace: str = Field("vidintel", pattern=r"^[a-z0-9_-]+$")


class StorageSettings(_Group):
    """``min_free_bytes`` stay free on the disk: an upload that would eat into them is refused."""

    root: Path | None = None
    min_free_bytes: int = Field(256 * 1024**2, ge=0)


class LimitSettings(_Group):
    max_upload_bytes: int = Field(4 * 1024**3, gt=0)
    max_body_bytes: int = Field(1024**2, gt=0, description="of requests that carry no file")
    max_duration_s: float = Field(6 * 3600.0, gt=0)
    max_side_px: int = Field(8192, ge=16)


class AnalysisSettings(_Group):
    """``model`` is the default model; ``models_dir`` holds the registry, the models that ship with us when left out."""

    model: str = "traffic-yolov8n"
    models_dir: Path | None = None
    sample_fps: float = Field(5.0, gt=0, le=240)
    segment_s: float = Field(10.0, gt=0)


class WorkSettings(_Group):
    """How work is handed out, held and tried again. Seconds throughout.

    After ``stall_s`` without a sign of life work is taken for hanging.
    ``memory_bytes`` is for each piece of work at once, and as much again for the process itself.
    """

    concurrency: int = Field(2, ge=1)
    max_attempts: int = Field(3, ge=1)
    retry_base_s: float = Field(1.0, ge=0)
    retry_cap_s: float = Field(60.0, ge=0)
    lease_s: float = Field(15.0, gt=0)
    heartbeat_s: float = Field(1.0, gt=0)
    stall_s: float = Field(120.0, gt=0)
    redispatch_s: float = Field(5.0, gt=0)
    poll_s: float = Field(1.0, gt=0)
    sweep_s: float = Field(2.0, gt=0)
    drain_s: float = Field(30.0, ge=0)
    memory_bytes: int = Field(3 * 1024**3, ge=1024**3)

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> "WorkSettings":
        if self.lease_s < 3 * self.heartbeat_s:
            raise ValueError("lease_s must be at least three times heartbeat_s")
        return self


class AuthSettings(_Group):
    """Clerk's session tokens, verified without a network call. ``jwt_key`` is the instance's public key (PEM)."""

    jwt_key: SecretStr | None = None
    issuer: str | None = None
    authorized_parties: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _key_and_issuer_go_together(self) -> "AuthSettings":
        if (self.jwt_key is None) != (self.issuer is None):
            raise ValueError("jwt_key and issuer are given together")
        return self


class HttpSettings(_Group):
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    cors_origins: tuple[str, ...] = ()
    middleware: tuple[MiddlewareName, ...] = ("request_id", "access_log", "security_headers", "cors", "body_limit")


class LogSettings(_Group):
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
    storage: StorageSettings = StorageSettings()
    limits: LimitSettings = LimitSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    work: WorkSettings = WorkSettings()
    auth: AuthSettings = AuthSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
