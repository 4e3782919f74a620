"""How surely an object must have been seen to count.

Revision: f6b0a3d94e17, after e27d5c81f04b, 2026-11-21 02:30.
"""

import sqlalchemy as sa
from alembic import op

revision = "f6b0a3d94e17"
down_revision = "e27d5c81f04b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    usual = sa.text("0.6")
    op.add_column("jobs", sa.Column("spec_track_confidence", sa.Double(), nullable=False, server_default=usual))


def downgrade() -> None:
    op.drop_column("jobs", "spec_track_confidence")
