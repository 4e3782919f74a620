"""Objects followed through time.

Revision: b31e7d04c5a8, after 8c2f61d9a047, 2026-11-20 20:20.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "b31e7d04c5a8"
down_revision = "8c2f61d9a047"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
        sa.Column("path", postgresql.JSONB(), nullable=False),
        sa.Column("best_shot", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_tracks_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "track_id", name=op.f("pk_tracks")),
    )
    op.create_index("ix_tracks_label", "tracks", ["job_id", "label", "track_id"])
    op.create_index("ix_tracks_time", "tracks", ["job_id", "first_seen_s"])


def downgrade() -> None:
    op.drop_table("tracks")
