"""${message}

Revision: ${up_revision}, after ${down_revision | comma,n}, ${create_date}.
"""

${imports if imports else ""}
import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    # lock_timeout and statement_timeout are set (see env.py); others are set here when needed:
    # op.execute("SET LOCAL statement_timeout = '1h'")
    # Tables that are in use: indexes are created concurrently, within `op.get_context().autocommit_block()`.
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
