"""Lines and zones that a client wants things counted at.

Revision: 8c2f61d9a047, after 5d1c0a7be3f2, 2026-11-20 20:10.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "8c2f61d9a047"
down_revision = "5d1c0a7be3f2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("spec_lines", "spec_zones"):
        op.add_column("jobs", sa.Column(name, postgresql.JSONB(), nullable=False, server_default="[]"))
        # The default was for the rows that exist; new ones bring their own.
        op.alter_column("jobs", name, server_default=None)


def downgrade() -> None:
    op.drop_column("jobs", "spec_zones")
    op.drop_column("jobs", "spec_lines")
