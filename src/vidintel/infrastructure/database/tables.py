"""The tables. Columns mirror the entities; the mappers in the repositories translate between the two."""

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL

from vidintel.domain.analysis import JobStage, JobStatus
from vidintel.domain.segment import SegmentStatus
from vidintel.domain.video import SourceKind, VideoStatus

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ACTIVE_JOB_OF_VIDEO = "uq_jobs_active_video"

_JOB_IS_ACTIVE = text("status IN ('queued', 'running')")
_IS_HELD = text("owner IS NOT NULL")


def _one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _failure_columns() -> list[Column[object]]:
    return [Column("failure_code", Text), Column("failure_detail", Text)]


videos = Table(
    "videos",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source_name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text),
    Column("captured_at", DateTime(timezone=True)),
    Column("camera_id", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("status", Text, nullable=False),
    Column("content_key", Text),
    Column("content_size_bytes", BigInteger),
    Column("content_sha256", Text),
    Column("media_container", Text),
    Column("media_codec", Text),
    Column("media_width", Integer),
    Column("media_height", Integer),
    Column("media_rotation", Integer),
    Column("media_duration_s", Double),
    Column("media_frame_rate", Double),
    Column("media_frame_count", Integer),
    *_failure_columns(),
    Column("current_job_id", Uuid),
    # The current job is one of the video's own. Each of the two tables refers to the other, so the database checks this
    # at the end of a transaction, which may add both rows in any order.
    ForeignKeyConstraint(
        ["id", "current_job_id"],
        ["jobs.video_id", "jobs.id"],
        name="fk_videos_current_job_id_jobs",
        ondelete="SET NULL (current_job_id)",
        deferrable=True,
        initially="DEFERRED",
        use_alter=True,
    ),
    _one_of("status", VideoStatus),
    _one_of("source_kind", SourceKind),
    Index("ix_videos_newest", "tenant_id", "created_at", "id"),
    Index("ix_videos_newest_by_status", "tenant_id", "status", "created_at", "id"),
    Index(
        "ix_videos_newest_by_camera",
        "tenant_id",
        "camera_id",
        "created_at",
        "id",
        postgresql_where=text("camera_id IS NOT NULL"),
    ),
    Index("ix_videos_expires_at", "expires_at", "id", postgresql_where=text("expires_at IS NOT NULL")),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("video_id", Uuid, ForeignKey("videos.id", ondelete="CASCADE"), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("spec", JSONB, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("model_sha256", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("run_number", Integer, nullable=False, server_default=text("1")),
    *_failure_columns(),
    _one_of("status", JobStatus),
    _one_of("stage", JobStage),
    UniqueConstraint("video_id", "id"),
    Index("ix_jobs_newest_of_video", "video_id", "created_at", "id"),
    Index(ACTIVE_JOB_OF_VIDEO, "video_id", unique=True, postgresql_where=_JOB_IS_ACTIVE),
)

segments = Table(
    "segments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("start_s", Double, nullable=False),
    Column("end_s", Double),
    Column("first_frame", Integer, nullable=False),
    Column("frame_count", Integer, nullable=False),
    Column("sample_count", Integer, nullable=False),
    Column("seekable", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("frames_done", Integer, nullable=False),
    Column("frames_reused", Integer, nullable=False, server_default=text("0")),
    Column("warnings", JSONB, nullable=False),
    Column("shots", JSONB(none_as_null=True)),
    *_failure_columns(),
    _one_of("status", SegmentStatus),
    UniqueConstraint("job_id", "ordinal"),
)

# Work that is not done yet; an item is removed when it is. There are no foreign keys, as a subject is of any kind:
# code that removes a group's subject removes the group's items.
work_items = Table(
    "work_items",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("group_id", Uuid, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("ordinal", Integer, nullable=False),
    # What caused it, for logs and traces.
    Column("request_id", Text),
    Column("traceparent", Text),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("owner", Text),
    Column("attempts", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("interruptions", Integer, nullable=False),
    # The dispatcher reads each flow (tenant and family) in this order.
    Index(
        "ix_work_items_ready",
        *("tenant_id", "family", "priority", "created_at", "group_id", "ordinal", "id"),
        postgresql_where=text("owner IS NULL"),
    ),
    Index("ix_work_items_held", "due_at", postgresql_where=_IS_HELD),
    Index("ix_work_items_group_id", "group_id"),
)

# Written in bulk, hence without foreign keys: checking one per row would halve the speed of COPY. Whoever deletes a job
# locks its row first and deletes its detections, which the primary key finds.
detections = Table(
    "detections",
    metadata,
    Column("job_id", Uuid, nullable=False),
    Column("frame", Integer, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("video_id", Uuid, nullable=False),
    Column("segment_id", Uuid, nullable=False),
    Column("time_s", Double, nullable=False),
    Column("label", Text, nullable=False),
    Column("confidence", REAL, nullable=False),
    Column("x1", REAL, nullable=False),
    Column("y1", REAL, nullable=False),
    Column("x2", REAL, nullable=False),
    Column("y2", REAL, nullable=False),
    Column("track_id", Integer),
    Column("reused", Boolean, nullable=False, server_default=text("false")),
    Column("appearance", LargeBinary, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("job_id", "frame", "position"),
)

tracks = Table(
    "tracks",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("track_id", Integer, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("first_seen_s", Double, nullable=False),
    Column("last_seen_s", Double, nullable=False),
    Column("points", Integer, nullable=False),
    Column("path", JSONB, nullable=False),
    Column("best_shot", JSONB, nullable=False),
    PrimaryKeyConstraint("job_id", "track_id"),
    Index("ix_tracks_label", "job_id", "label", "track_id"),
    Index("ix_tracks_time", "job_id", "first_seen_s"),
)

ai_results = Table(
    "ai_results",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    PrimaryKeyConstraint("job_id", "kind"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "name"),
)

# An event is delivered whether or not its subject still exists, hence no foreign key to that.
outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("ix_outbox_created_at", "created_at"),
)

event_subscribers = Table(
    "event_subscribers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("leased_until", DateTime(timezone=True), nullable=False),
)

event_subscriptions = Table(
    "event_subscriptions",
    metadata,
    Column("type", Text, nullable=False),
    Column("subscriber", Text, nullable=False),
    Column("renewed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("type", "subscriber"),
)

# One row for each event that a subscriber has not dealt with. There is no foreign key to the subscriber: checking it
# would have every transaction that adds an event lock the subscriber's row.
event_deliveries = Table(
    "event_deliveries",
    metadata,
    Column("subscriber", Text, nullable=False),
    Column("position", BigInteger, ForeignKey("outbox.position"), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failure", Text),
    Column("died_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("subscriber", "position"),
    Index("ix_event_deliveries_due_at", "subscriber", "due_at", postgresql_where=text("died_at IS NULL")),
    Index("ix_event_deliveries_died_at", "died_at", postgresql_where=text("died_at IS NOT NULL")),
    # The sweep asks whether anybody is still to be told of an event.
    Index("ix_event_deliveries_position", "position"),
)

object_deletions = Table(
    "object_deletions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("due_at", DateTime(timezone=True), nullable=False),
    # Above 0 the object may be half gone: it can only be removed.
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Index("ix_object_deletions_due_at", "due_at"),
)
