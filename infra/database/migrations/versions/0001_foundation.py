"""The foundation: users, the road of an event, the activity log, leases."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
BY_KEY = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Make the tables."""
    _people_and_subscriptions()
    _road()
    _deliveries()
    _rest()


def downgrade() -> None:
    """Take everything away."""
    for name in ("idempotency", "lease", "schedule_run", "activity", "effect", "inbox", "event_log", "outbox"):
        op.drop_table(name)
    op.drop_table("subscription")
    op.drop_table("users")


def _people_and_subscriptions() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_key", sa.String(), nullable=False, unique=True),
        sa.Column("registered_at", TIME, nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
    )
    op.create_table(
        "subscription",
        sa.Column("consumer", sa.String(), primary_key=True),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("since", BIG, nullable=False),
        sa.Column("declared_at", TIME, nullable=False),
    )


def _road() -> None:
    op.create_table(
        "outbox",
        sa.Column("sequence", BIG, primary_key=True),
        sa.Column("event_id", sa.String(), nullable=False, unique=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("available_at", TIME, nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String()),
        sa.Column("set_aside", sa.Boolean(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_due", "outbox", ["set_aside", "available_at", "sequence"])
    op.create_table(
        "event_log",
        sa.Column("position", BIG, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(), nullable=False, unique=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("published_at", TIME, nullable=False),
    )
    op.create_index("event_log_type", "event_log", ["type", "position"])
    op.create_index("event_log_subject", "event_log", ["subject", "position"])


def _deliveries() -> None:
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.String(), primary_key=True),
        sa.Column("consumer", sa.String(), primary_key=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("handled_at", TIME),
        sa.Column("error", sa.String()),
        **BY_KEY,
    )
    op.create_table(
        "effect",
        sa.Column("event_id", sa.String(), primary_key=True),
        sa.Column("consumer", sa.String(), primary_key=True),
        sa.Column("ordinal", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("busy_until", TIME, nullable=False),
        sa.Column("sent_at", TIME),
        sa.Column("error", sa.String()),
        **BY_KEY,
    )


def _rest() -> None:
    op.create_table(
        "activity",
        sa.Column("event_id", sa.String(), primary_key=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String()),
        sa.Column("time", TIME, nullable=False),
        **BY_KEY,
    )
    op.create_index("activity_type", "activity", ["type", "event_id"])
    op.create_index("activity_subject", "activity", ["subject", "event_id"])
    op.create_table(
        "schedule_run",
        sa.Column("schedule", sa.String(), primary_key=True),
        sa.Column("due_at", TIME, primary_key=True),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("fired_at", TIME, nullable=False),
        **BY_KEY,
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("counter", BIG, nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        **BY_KEY,
    )
