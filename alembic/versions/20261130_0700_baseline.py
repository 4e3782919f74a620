"""The schema of release 0.1.0.

Every committed change that shows in a video, its jobs or their progress is told on a channel by triggers, whoever made
it: the video's id and the transaction's.

Revision: 5c0e9a7d1b42, the first, 2026-11-30 07:00.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "5c0e9a7d1b42"
down_revision = None
branch_labels = None
depends_on = None

_TRIGGERS = (
    """
    CREATE FUNCTION vidintel_video_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('vidintel_changed', OLD.id || ' ' || pg_current_xact_id());
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION vidintel_job_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            PERFORM pg_notify('vidintel_changed', NEW.video_id || ' ' || pg_current_xact_id());
        ELSE
            PERFORM pg_notify('vidintel_changed', OLD.video_id || ' ' || pg_current_xact_id());
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION vidintel_segment_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('vidintel_changed', jobs.video_id || ' ' || pg_current_xact_id())
        FROM jobs WHERE jobs.id = OLD.job_id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION vidintel_segments_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('vidintel_changed', jobs.video_id || ' ' || pg_current_xact_id())
        FROM jobs WHERE jobs.id IN (SELECT job_id FROM changed);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER tell_of_videos AFTER UPDATE OR DELETE ON videos
    FOR EACH ROW EXECUTE FUNCTION vidintel_video_changed()
    """,
    """
    CREATE TRIGGER tell_of_jobs AFTER INSERT OR DELETE ON jobs
    FOR EACH ROW EXECUTE FUNCTION vidintel_job_changed()
    """,
    """
    CREATE TRIGGER tell_of_changed_jobs AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION vidintel_job_changed()
    """,
    """
    CREATE TRIGGER tell_of_changed_segments AFTER UPDATE ON segments FOR EACH ROW
    WHEN ((OLD.status, OLD.frames_done, OLD.sample_count) IS DISTINCT FROM
          (NEW.status, NEW.frames_done, NEW.sample_count))
    EXECUTE FUNCTION vidintel_segment_changed()
    """,
    """
    CREATE TRIGGER tell_of_new_segments AFTER INSERT ON segments REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION vidintel_segments_changed()
    """,
    """
    CREATE TRIGGER tell_of_gone_segments AFTER DELETE ON segments REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION vidintel_segments_changed()
    """,
)

_DROP_TRIGGERS = (
    "DROP TRIGGER tell_of_gone_segments ON segments",
    "DROP TRIGGER tell_of_new_segments ON segments",
    "DROP TRIGGER tell_of_changed_segments ON segments",
    "DROP TRIGGER tell_of_changed_jobs ON jobs",
    "DROP TRIGGER tell_of_jobs ON jobs",
    "DROP TRIGGER tell_of_videos ON videos",
    "DROP FUNCTION vidintel_segments_changed()",
    "DROP FUNCTION vidintel_segment_changed()",
    "DROP FUNCTION vidintel_job_changed()",
    "DROP FUNCTION vidintel_video_changed()",
)


def upgrade() -> None:
    op.create_table(
        "detections",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("segment_id", sa.Uuid(), nullable=False),
        sa.Column("time_s", sa.Double(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("confidence", sa.REAL(), nullable=False),
        sa.Column("x1", sa.REAL(), nullable=False),
        sa.Column("y1", sa.REAL(), nullable=False),
        sa.Column("x2", sa.REAL(), nullable=False),
        sa.Column("y2", sa.REAL(), nullable=False),
        sa.Column("track_id", sa.Integer(), nullable=True),
        sa.Column("reused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("appearance", sa.LargeBinary(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "frame", "position", name=op.f("pk_detections")),
    )
    op.create_table(
        "object_deletions",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_object_deletions")),
    )
    op.create_index("ix_object_deletions_due_at", "object_deletions", ["due_at"], unique=False)
    op.create_table(
        "event_subscribers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_event_subscribers")),
    )
    op.create_table(
        "event_subscriptions",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("type", "subscriber", name=op.f("pk_event_subscriptions")),
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_outbox")),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_id")),
    )
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"], unique=False)
    op.create_table(
        "event_deliveries",
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("died_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["position"], ["outbox.position"], name=op.f("fk_event_deliveries_position_outbox")),
        sa.PrimaryKeyConstraint("subscriber", "position", name=op.f("pk_event_deliveries")),
    )
    op.create_index(
        "ix_event_deliveries_died_at",
        "event_deliveries",
        ["died_at"],
        unique=False,
        postgresql_where=sa.text("died_at IS NOT NULL"),
    )
    op.create_index(
        "ix_event_deliveries_due_at",
        "event_deliveries",
        ["subscriber", "due_at"],
        unique=False,
        postgresql_where=sa.text("died_at IS NULL"),
    )
    op.create_index("ix_event_deliveries_position", "event_deliveries", ["position"], unique=False)
    op.create_table(
        "videos",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("camera_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("content_key", sa.Text(), nullable=True),
        sa.Column("content_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("content_sha256", sa.Text(), nullable=True),
        sa.Column("media_container", sa.Text(), nullable=True),
        sa.Column("media_codec", sa.Text(), nullable=True),
        sa.Column("media_width", sa.Integer(), nullable=True),
        sa.Column("media_height", sa.Integer(), nullable=True),
        sa.Column("media_rotation", sa.Integer(), nullable=True),
        sa.Column("media_duration_s", sa.Double(), nullable=True),
        sa.Column("media_frame_rate", sa.Double(), nullable=True),
        sa.Column("media_frame_count", sa.Integer(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_detail", sa.Text(), nullable=True),
        sa.Column("current_job_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("source_kind IN ('upload', 'url')", name=op.f("ck_videos_source_kind_known")),
        sa.CheckConstraint(
            "status IN ('pending', 'uploaded', 'processing', 'completed', 'failed')",
            name=op.f("ck_videos_status_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_videos")),
    )
    op.create_index(
        "ix_videos_expires_at",
        "videos",
        ["expires_at", "id"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index("ix_videos_newest", "videos", ["tenant_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_videos_newest_by_camera",
        "videos",
        ["tenant_id", "camera_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("camera_id IS NOT NULL"),
    )
    op.create_index("ix_videos_newest_by_status", "videos", ["tenant_id", "status", "created_at", "id"], unique=False)
    op.create_table(
        "work_items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("interruptions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_items")),
    )
    op.create_index("ix_work_items_group_id", "work_items", ["group_id"], unique=False)
    op.create_index(
        "ix_work_items_held", "work_items", ["due_at"], unique=False, postgresql_where=sa.text("owner IS NOT NULL")
    )
    op.create_index(
        "ix_work_items_ready",
        "work_items",
        ["tenant_id", "family", "priority", "created_at", "group_id", "ordinal", "id"],
        unique=False,
        postgresql_where=sa.text("owner IS NULL"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("model_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_number", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_detail", sa.Text(), nullable=True),
        sa.CheckConstraint("stage IN ('plan', 'analyse', 'finish')", name=op.f("ck_jobs_stage_known")),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name=op.f("ck_jobs_status_known")
        ),
        sa.ForeignKeyConstraint(["video_id"], ["videos.id"], name=op.f("fk_jobs_video_id_videos"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("video_id", "id", name=op.f("uq_jobs_video_id_id")),
    )
    op.create_foreign_key(
        "fk_videos_current_job_id_jobs",
        "videos",
        "jobs",
        ["id", "current_job_id"],
        ["video_id", "id"],
        ondelete="SET NULL (current_job_id)",
        deferrable=True,
        initially="DEFERRED",
    )
    op.create_index("ix_jobs_newest_of_video", "jobs", ["video_id", "created_at", "id"], unique=False)
    op.create_index(
        "uq_jobs_active_video",
        "jobs",
        ["video_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_table(
        "ai_results",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_ai_results_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "kind", name=op.f("pk_ai_results")),
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start_s", sa.Double(), nullable=False),
        sa.Column("end_s", sa.Double(), nullable=True),
        sa.Column("first_frame", sa.Integer(), nullable=False),
        sa.Column("frame_count", sa.Integer(), nullable=False),
        sa.Column("sample_count", sa.Integer(), nullable=False),
        sa.Column("seekable", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("frames_done", sa.Integer(), nullable=False),
        sa.Column("frames_reused", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("warnings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("shots", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_detail", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('pending', 'done', 'dead')", name=op.f("ck_segments_status_known")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_segments_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("job_id", "ordinal", name=op.f("uq_segments_job_id_ordinal")),
    )
    op.create_table(
        "snapshots",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_snapshots_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_snapshots")),
    )
    op.create_table(
        "tracks",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("track_id", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("first_seen_s", sa.Double(), nullable=False),
        sa.Column("last_seen_s", sa.Double(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("path", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("best_shot", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_tracks_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "track_id", name=op.f("pk_tracks")),
    )
    op.create_index("ix_tracks_label", "tracks", ["job_id", "label", "track_id"], unique=False)
    op.create_index("ix_tracks_time", "tracks", ["job_id", "first_seen_s"], unique=False)
    for statement in _TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DROP_TRIGGERS:
        op.execute(statement)
    op.drop_index("ix_tracks_time", table_name="tracks")
    op.drop_index("ix_tracks_label", table_name="tracks")
    op.drop_table("tracks")
    op.drop_table("snapshots")
    op.drop_table("segments")
    op.drop_table("ai_results")
    op.drop_constraint("fk_videos_current_job_id_jobs", "videos", type_="foreignkey")
    op.drop_index(
        "uq_jobs_active_video", table_name="jobs", postgresql_where=sa.text("status IN ('queued', 'running')")
    )
    op.drop_index("ix_jobs_newest_of_video", table_name="jobs")
    op.drop_table("jobs")
    op.drop_index("ix_work_items_ready", table_name="work_items", postgresql_where=sa.text("owner IS NULL"))
    op.drop_index("ix_work_items_held", table_name="work_items", postgresql_where=sa.text("owner IS NOT NULL"))
    op.drop_index("ix_work_items_group_id", table_name="work_items")
    op.drop_table("work_items")
    op.drop_index("ix_videos_newest_by_status", table_name="videos")
    op.drop_index("ix_videos_newest", table_name="videos")
    op.drop_index("ix_videos_expires_at", table_name="videos", postgresql_where=sa.text("expires_at IS NOT NULL"))
    op.drop_table("videos")
    op.drop_index("ix_event_deliveries_position", table_name="event_deliveries")
    op.drop_index(
        "ix_event_deliveries_due_at", table_name="event_deliveries", postgresql_where=sa.text("died_at IS NULL")
    )
    op.drop_index(
        "ix_event_deliveries_died_at", table_name="event_deliveries", postgresql_where=sa.text("died_at IS NOT NULL")
    )
    op.drop_table("event_deliveries")
    op.drop_index("ix_outbox_created_at", table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("event_subscriptions")
    op.drop_table("event_subscribers")
    op.drop_index("ix_object_deletions_due_at", table_name="object_deletions")
    op.drop_table("object_deletions")
    op.drop_table("detections")
