"""Resends count how often they were asked for, so that one that was asked for while it was sent is sent once more."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column."""
    op.add_column("resend", sa.Column("asked", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("resend", "asked")
