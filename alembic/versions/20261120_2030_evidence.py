"""Pictures that show what a job found.

Revision: e0947c2b16fd, after b31e7d04c5a8, 2026-11-20 20:30.
"""

import sqlalchemy as sa
from alembic import op

revision = "e0947c2b16fd"
down_revision = "b31e7d04c5a8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_evidence_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_evidence")),
    )


def downgrade() -> None:
    op.drop_table("evidence")
