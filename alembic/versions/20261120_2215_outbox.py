"""Events of jobs that ended, and which of a job's attempts by a person is meant.

Revision: 5d21e7c08b4f, after 5e0c7a41b9d2, 2026-11-20 22:15.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "5d21e7c08b4f"
down_revision = "5e0c7a41b9d2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("epoch", sa.Integer(), nullable=False, server_default=sa.text("1")))
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('job.succeeded', 'job.failed', 'job.cancelled')", name=op.f("ck_outbox_kind_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("job_id", "epoch", name=op.f("uq_outbox_job_id_epoch")),
    )


def downgrade() -> None:
    op.drop_table("outbox")
    op.drop_column("jobs", "epoch")
