"""Consumers with an order and a past: what was subscribed with, who waits for whom, and what of the log is sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables and columns."""
    op.add_column("subscription", sa.Column("options", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("subscription", sa.Column("retiring_since", TIME))
    op.add_column("subscription", sa.Column("seen_at", TIME))
    op.add_column("resend", sa.Column("backfilled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "waiting",
        sa.Column("consumer", sa.String(), primary_key=True),
        sa.Column("position", BIG, primary_key=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.UniqueConstraint("consumer", "event_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("waiting_subject", "waiting", ["consumer", "subject", "position"])
    replaying = sa.text("state = 'replaying'")
    op.create_index(
        "dead_letter_replaying",
        "dead_letter",
        ["consumer", "subject"],
        sqlite_where=replaying,
        postgresql_where=replaying,
    )
    op.create_table(
        "backfill",
        sa.Column("operation_id", sa.String(), primary_key=True),
        sa.Column("consumer", sa.String(), nullable=False),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("after", BIG, nullable=False),
        sa.Column("until", BIG, nullable=False),
        sa.Column("joined", sa.Boolean(), nullable=False),
        sa.Column("sent", BIG, nullable=False),
        sa.Column("settled", BIG, nullable=False),
        sa.Column("rate", sa.Float()),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("backfill")
    op.drop_index("dead_letter_replaying", "dead_letter")
    op.drop_table("waiting")
    op.drop_column("resend", "backfilled")
    op.drop_column("subscription", "seen_at")
    op.drop_column("subscription", "retiring_since")
    op.drop_column("subscription", "options")
