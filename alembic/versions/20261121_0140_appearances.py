"""What detected objects look like.

Revision: e27d5c81f04b, after b41c7d90e6a8, 2026-11-21 01:40.
"""

import sqlalchemy as sa
from alembic import op

revision = "e27d5c81f04b"
down_revision = "b41c7d90e6a8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    nothing = sa.text("''")
    op.add_column("detections", sa.Column("appearance", sa.LargeBinary(), nullable=False, server_default=nothing))


def downgrade() -> None:
    op.drop_column("detections", "appearance")
