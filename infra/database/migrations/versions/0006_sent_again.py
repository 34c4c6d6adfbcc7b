"""Resends count how often they were asked for, and what waits for its turn knows that a backfill had sent it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the columns."""
    op.add_column("resend", sa.Column("asked", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("waiting", sa.Column("backfilled", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("waiting", "backfilled")
    op.drop_column("resend", "asked")
