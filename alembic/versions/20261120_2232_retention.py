"""When a video expires; how often the removal of an object was begun.

Revision: 8d3a6f1be052, after 6e20b94f17d8, 2026-11-20 22:32.
"""

import sqlalchemy as sa
from alembic import op

revision = "8d3a6f1be052"
down_revision = "6e20b94f17d8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("videos", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("object_deletions", sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    op.drop_column("object_deletions", "attempts")
    op.drop_column("videos", "expires_at")
