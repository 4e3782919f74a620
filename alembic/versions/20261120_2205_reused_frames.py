"""Frames that got the detections of one that looks alike.

Revision: c3a8e57d1b90, after 9b1f6d20c7ae, 2026-11-20 22:05.
"""

import sqlalchemy as sa
from alembic import op

revision = "c3a8e57d1b90"
down_revision = "9b1f6d20c7ae"
branch_labels = None
depends_on = None


def upgrade() -> None:
    no, none = sa.text("false"), sa.text("0")
    op.add_column("jobs", sa.Column("spec_reuse_similar", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("segments", sa.Column("frames_reused", sa.Integer(), nullable=False, server_default=none))
    op.add_column("detections", sa.Column("reused", sa.Boolean(), nullable=False, server_default=no))


def downgrade() -> None:
    op.drop_column("detections", "reused")
    op.drop_column("segments", "frames_reused")
    op.drop_column("jobs", "spec_reuse_similar")
