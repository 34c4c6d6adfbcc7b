"""Schedules that can be operated: the timetable, its orders and gaps, and the state of what it watches."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    _schedules()
    _runs()
    _health()
    _users()
    _later()
    _lists()
    op.create_index("idempotency_created", "idempotency", ["created_at", "key"])


def downgrade() -> None:
    """Take them away."""
    _lists_before()
    op.drop_column("outbox", "released_at")
    op.drop_index("idempotency_created", "idempotency")
    op.drop_column("users", "reminded_at")
    op.drop_table("health")
    for name in ("schedule_run_operation", "schedule_run_special", "schedule_run_ordered"):
        op.drop_index(name, "schedule_run")
    for name in ("note", "operation_id", "state", "kind"):
        op.drop_column("schedule_run", name)
    op.drop_table("schedule_gap")
    op.drop_table("schedule")


def _schedules() -> None:
    op.create_table(
        "schedule",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("trigger", sa.JSON(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("data", sa.JSON()),
        sa.Column("missed", sa.String(), nullable=False),
        sa.Column("missed_limit", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.String(), nullable=False),
        sa.Column("counts_from", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("paused_at", TIME),
        sa.Column("paused_by", sa.String()),
        sa.Column("paused_why", sa.String()),
        sa.Column("retired_at", TIME),
        sa.Column("silent_since", TIME),
        sa.Column("version", BIG, nullable=False),
    )
    op.create_table(
        "schedule_gap",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("schedule", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("first_due_at", TIME, nullable=False),
        sa.Column("last_due_at", TIME, nullable=False),
        sa.Column("due", BIG, nullable=False),
        sa.Column("fired", BIG, nullable=False),
        sa.Column("policy", sa.String(), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
    )
    op.create_index("schedule_gap_schedule", "schedule_gap", ["schedule", "id"])


def _runs() -> None:
    op.add_column("schedule_run", sa.Column("kind", sa.String(), nullable=False, server_default="due"))
    op.add_column("schedule_run", sa.Column("state", sa.String(), nullable=False, server_default="fired"))
    op.add_column("schedule_run", sa.Column("operation_id", sa.String()))
    op.add_column("schedule_run", sa.Column("note", sa.String()))
    ordered = sa.text("state = 'ordered'")
    op.create_index("schedule_run_ordered", "schedule_run", ["due_at"], sqlite_where=ordered, postgresql_where=ordered)
    special, of_one = sa.text("state <> 'fired' OR kind <> 'due'"), sa.text("operation_id IS NOT NULL")
    columns = ["schedule", "due_at"]
    op.create_index("schedule_run_special", "schedule_run", columns, sqlite_where=special, postgresql_where=special)
    columns = ["operation_id", "state"]
    op.create_index("schedule_run_operation", "schedule_run", columns, sqlite_where=of_one, postgresql_where=of_one)


def _health() -> None:
    op.create_table(
        "health",
        sa.Column("component", sa.String(), primary_key=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("checked_at", TIME, nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("doubted_since", TIME),
    )


def _users() -> None:
    op.add_column("users", sa.Column("reminded_at", TIME))


def _later() -> None:
    op.add_column("outbox", sa.Column("released_at", TIME))


def _lists() -> None:
    op.drop_index("activity_type", "activity")
    op.drop_index("activity_subject", "activity")
    op.create_index("activity_time", "activity", ["time", "event_id"])
    op.create_index("activity_type", "activity", ["type", "time", "event_id"])
    op.create_index("activity_subject", "activity", ["subject", "time", "event_id"])
    op.create_index("audit_target", "audit", ["target", "id"])


def _lists_before() -> None:
    op.drop_index("audit_target", "audit")
    for name in ("activity_subject", "activity_type", "activity_time"):
        op.drop_index(name, "activity")
    op.create_index("activity_type", "activity", ["type", "event_id"])
    op.create_index("activity_subject", "activity", ["subject", "event_id"])
