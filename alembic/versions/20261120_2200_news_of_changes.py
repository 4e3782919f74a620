"""News of changed videos, for the caches.

Every committed change that shows in a video, its jobs or their progress is told on a channel, by whoever it was made:
the video's id and the transaction's.
The columns left out say who holds the work and until when: heartbeats move them all the time, and no answer shows them.

Revision: 9b1f6d20c7ae, after 47d5b0e8f9c3, 2026-11-20 22:00.
"""

from alembic import op

revision = "9b1f6d20c7ae"
down_revision = "47d5b0e8f9c3"
branch_labels = None
depends_on = None

_UNSEEN = "'{due_at,attempts,token,owner}'::text[]"

_UP = (
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
    f"""
    CREATE TRIGGER tell_of_changed_jobs AFTER UPDATE ON jobs FOR EACH ROW
    WHEN ((to_jsonb(OLD) - {_UNSEEN}) IS DISTINCT FROM (to_jsonb(NEW) - {_UNSEEN}))
    EXECUTE FUNCTION vidintel_job_changed()
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

_DOWN = (
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
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
