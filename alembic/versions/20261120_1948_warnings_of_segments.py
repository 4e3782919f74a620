"""What is wrong with a video, and whether its timestamps lead to a segment.

Revision: 5d1c0a7be3f2, after f4b685858d94, 2026-11-20 19:48.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "5d1c0a7be3f2"
down_revision = "f4b685858d94"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("seekable", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("segments", sa.Column("warnings", postgresql.JSONB(), nullable=False, server_default="[]"))
    # The defaults were for the rows that exist; new ones bring their own.
    op.alter_column("segments", "seekable", server_default=None)
    op.alter_column("segments", "warnings", server_default=None)


def downgrade() -> None:
    op.drop_column("segments", "warnings")
    op.drop_column("segments", "seekable")
