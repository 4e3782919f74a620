"""Detections of a moment are found by frame: their index by time is not needed, and slowed down COPY.

Revision: 6e20b94f17d8, after 5d21e7c08b4f, 2026-11-20 22:20.
"""

from alembic import op

revision = "6e20b94f17d8"
down_revision = "5d21e7c08b4f"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_detections_time", table_name="detections")


def downgrade() -> None:
    op.create_index("ix_detections_time", "detections", ["job_id", "time_s"])
