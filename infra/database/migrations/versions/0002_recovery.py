"""Recovery: dead letters with replay, the sweep's positions, pauses, operations, the audit."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
BY_KEY = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Make the tables."""
    _columns()
    _dead_letters()
    _sweep()
    _operators()


def downgrade() -> None:
    """Take them away."""
    for name in ("audit", "operation", "pause", "emptied", "unsettled", "resend", "dead_letter"):
        op.drop_table(name)
    for name in ("retry_at", "failed_at"):
        op.drop_column("inbox", name)
    for name in ("resent", "scanned"):
        op.drop_column("subscription", name)


def _columns() -> None:
    op.add_column("inbox", sa.Column("failed_at", TIME))
    op.add_column("inbox", sa.Column("retry_at", TIME))
    op.add_column("subscription", sa.Column("scanned", BIG, nullable=False, server_default="0"))
    op.add_column("subscription", sa.Column("resent", BIG, nullable=False, server_default="0"))
    op.execute("UPDATE subscription SET scanned = since")


def _dead_letters() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("key", sa.String(), nullable=False, unique=True),
        sa.Column("consumer", sa.String(), nullable=False),
        sa.Column("event_id", sa.String()),
        sa.Column("type", sa.String()),
        sa.Column("subject", sa.String()),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("exception", sa.String()),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("frame", sa.String()),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_failed_at", TIME, nullable=False),
        sa.Column("last_failed_at", TIME, nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("operation_id", sa.String()),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("replayed_at", TIME),
        sa.Column("closed_at", TIME),
        sa.Column("closed_with", sa.String()),
    )
    op.create_index("dead_letter_state", "dead_letter", ["state", "id"])
    op.create_index("dead_letter_consumer", "dead_letter", ["consumer", "id"])
    op.create_index("dead_letter_fingerprint", "dead_letter", ["fingerprint", "id"])
    op.create_index("dead_letter_event", "dead_letter", ["event_id"])
    op.create_index("dead_letter_operation", "dead_letter", ["operation_id", "state", "id"])


def _sweep() -> None:
    op.create_table(
        "resend",
        sa.Column("sequence", BIG, primary_key=True),
        sa.Column("consumer", sa.String(), nullable=False),
        sa.Column("event_id", sa.String()),
        sa.Column("type", sa.String()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("dead_letter_id", sa.String()),
        sa.Column("added_at", TIME, nullable=False),
        sa.UniqueConstraint("consumer", "event_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "unsettled",
        sa.Column("consumer", sa.String(), primary_key=True),
        sa.Column("position", BIG, primary_key=True),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("published_at", TIME, nullable=False),
        sa.Column("resent_at", TIME),
        **BY_KEY,
    )
    op.create_table("emptied", sa.Column("queue", sa.String(), primary_key=True), sa.Column("at", TIME, nullable=False))


def _operators() -> None:
    op.create_table(
        "pause",
        sa.Column("consumer", sa.String(), primary_key=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("probe_at", TIME),
        sa.Column("prober", sa.String()),
    )
    op.create_table(
        "operation",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("handled", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
    )
