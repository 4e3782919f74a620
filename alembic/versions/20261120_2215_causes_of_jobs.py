"""The request that caused a job, and its place in a trace.

Revision: 5e0c7a41b9d2, after c3a8e57d1b90, 2026-11-20 22:15.
"""

import sqlalchemy as sa
from alembic import op

revision = "5e0c7a41b9d2"
down_revision = "c3a8e57d1b90"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("request_id", sa.Text()))
    op.add_column("jobs", sa.Column("traceparent", sa.Text()))


def downgrade() -> None:
    op.drop_column("jobs", "traceparent")
    op.drop_column("jobs", "request_id")
