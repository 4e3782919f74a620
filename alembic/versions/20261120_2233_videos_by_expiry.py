"""Videos are found by the time at which they expire.

Revision: b41c7d90e6a8, after 8d3a6f1be052, 2026-11-20 22:33.
"""

import sqlalchemy as sa
from alembic import op

revision = "b41c7d90e6a8"
down_revision = "8d3a6f1be052"
branch_labels = None
depends_on = None

_NAME = "ix_videos_expires_at"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # An attempt that was interrupted leaves an index that is not valid.
        op.drop_index(_NAME, table_name="videos", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            _NAME,
            "videos",
            ["expires_at", "id"],
            postgresql_where=sa.text("expires_at IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_NAME, table_name="videos", if_exists=True, postgresql_concurrently=True)
