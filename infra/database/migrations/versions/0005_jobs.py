"""Jobs: what is asked for, how far it has come, its result's files; and who is erased."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    _jobs()
    _files()
    _erasures()


def downgrade() -> None:
    """Take them away."""
    op.drop_table("erasure")
    with op.batch_alter_table("event_log") as log:
        log.drop_column("erased_at")
    op.drop_table("job_file")
    op.drop_table("job")


def _jobs() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("unique_key", sa.String()),
        sa.Column("event_id", sa.String(), nullable=False, unique=True),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("progress_text", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("retry_at", TIME),
        sa.Column("cancelled_at", TIME),
        sa.Column("owner", sa.String()),
        sa.Column("busy_until", TIME),
        sa.Column("checkpoint", sa.JSON()),
        sa.Column("checkpoint_at", TIME),
        sa.Column("effects", sa.Integer(), nullable=False),
        sa.Column("worked", sa.Float(), nullable=False),
    )
    op.create_index("job_kind", "job", ["kind", "id"])
    op.create_index("job_state", "job", ["state", "id"])
    op.create_index("job_requester", "job", ["requested_by", "id"])
    open_, held = sa.text("state IN ('queued', 'running', 'retrying')"), sa.text("state = 'running'")
    op.create_index(
        "job_unique", "job", ["kind", "unique_key"], unique=True, sqlite_where=open_, postgresql_where=open_
    )
    op.create_index("job_held", "job", ["busy_until"], sqlite_where=held, postgresql_where=held)


def _files() -> None:
    op.create_table(
        "job_file",
        sa.Column("job_id", sa.String(), primary_key=True),
        sa.Column("ordinal", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("key", sa.String()),
        sa.Column("size", BIG, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sqlite_with_rowid=False,
    )
    stored = sa.text("key IS NOT NULL")
    op.create_index("job_file_expiry", "job_file", ["expires_at"], sqlite_where=stored, postgresql_where=stored)


def _erasures() -> None:
    op.add_column("event_log", sa.Column("erased_at", TIME))
    op.create_table(
        "erasure",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("subject", sa.String()),
        sa.Column("address", sa.String()),
        sa.Column("begun_at", TIME, nullable=False),
        sa.Column("announced", sa.String()),
        sa.Column("again_at", TIME),
        sqlite_with_rowid=False,
    )
    unended = sa.text("subject IS NOT NULL")
    op.create_index("erasure_open", "erasure", ["key"], sqlite_where=unended, postgresql_where=unended)
