"""Where shots begin within a segment.

Revision: 47d5b0e8f9c3, after e0947c2b16fd, 2026-11-20 20:40.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "47d5b0e8f9c3"
down_revision = "e0947c2b16fd"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("shots", postgresql.JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("segments", "shots")
