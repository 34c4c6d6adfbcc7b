"""The schema: the road of an event. Ids are text, times are UTC; hot paths insert with SQLAlchemy Core.

What goes wrong and is put right is in `recovery_tables`, the timetable in `schedule_tables`, what consumers need beside
the inbox in `consumer_tables`, jobs in `job_tables`, who is erased in `erasure_tables`.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Index, Integer, Table, Text, TypeDecorator, text
from sqlmodel import Field, SQLModel

#: SQLite numbers rows by itself only in a column that is declared INTEGER.
BIG = BigInteger().with_variant(Integer(), "sqlite")
#: For tables whose primary key is their only access path: SQLite then keeps the row in the key's B-tree.
BY_KEY = {"sqlite_with_rowid": False}
_ORDERED = text("state = 'ordered'")
#: The runs that are not what nearly all are. Who asks for some of these says it in the same words.
SPECIAL = "state <> 'fired' OR kind <> 'due'"
_SPECIAL = text(SPECIAL)
_OF_AN_OPERATION = text("operation_id IS NOT NULL")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment; SQLite, which keeps no time zone, is given UTC and gives UTC back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class User(SQLModel, table=True):
    """A person who registered."""

    __tablename__ = "users"
    id: str = Field(primary_key=True)
    name: str
    email: str
    #: The address in lower case: what makes two registrations the same.
    email_key: str = Field(unique=True)
    registered_at: datetime = Field(sa_type=UtcDateTime)
    #: The event that announced it.
    event_id: str
    #: When it was announced that a week had passed since.
    reminded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Subscription(SQLModel, table=True):
    """A consumer that was declared: its queue exists, or is made again, for as long as this row does."""

    __tablename__ = "subscription"
    consumer: str = Field(primary_key=True)
    types: list[str] = Field(sa_type=JSON)
    description: str = ""
    #: Events with a greater position in the event log are for this consumer.
    since: int = Field(sa_type=BIG)
    declared_at: datetime = Field(sa_type=UtcDateTime)
    #: Every event up to this position is settled (handled, or kept as a dead letter), or has a row in `unsettled`.
    scanned: int = Field(default=0, sa_type=BIG)
    #: Events that the sweep sent to it again, in all.
    resent: int = Field(default=0, sa_type=BIG)
    #: What its module subscribed with, for those who cannot import it: see `infra.subscriptions.described`.
    options: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    #: Since when it is on its way out: its queue is bound to nothing any more.
    retiring_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: When a consumers program with its module was at work last, half a minute more or less.
    seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Outbox(SQLModel, table=True):
    """An event that is accepted and not yet confirmed by the broker."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_due", "set_aside", "available_at", "sequence"), {"sqlite_autoincrement": True})
    sequence: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    event_id: str = Field(unique=True)
    type: str
    subject: str | None = None
    #: The event as it goes on the wire.
    body: str = Field(sa_type=Text)
    #: Not published before; `outbox.AT_ONCE`, a constant of the past, for all that need not wait.
    available_at: datetime = Field(sa_type=UtcDateTime)
    #: Of one that had to wait: since when the relay may publish it, and nobody may move or cancel it any more.
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    added_at: datetime = Field(sa_type=UtcDateTime)
    #: Publishes that failed for a reason that lies in the event itself.
    attempts: int = 0
    error: str | None = None
    #: A poison row: the relay passes over it.
    set_aside: bool = False


class EventLog(SQLModel, table=True):
    """An event that the broker has confirmed; positions have no gap and only grow."""

    __tablename__ = "event_log"
    __table_args__ = (Index("event_log_type", "type", "position"), Index("event_log_subject", "subject", "position"))
    position: int = Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False})
    event_id: str = Field(unique=True)
    type: str
    subject: str | None = None
    body: str = Field(sa_type=Text)
    published_at: datetime = Field(sa_type=UtcDateTime)
    #: Since when nothing is left of it but that there was one: its body is empty then, and its subject unknown.
    erased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Inbox(SQLModel, table=True):
    """What became of one event at one consumer: the key makes its work happen once."""

    __tablename__ = "inbox"
    __table_args__: ClassVar[Any] = BY_KEY
    event_id: str = Field(primary_key=True)
    consumer: str = Field(primary_key=True)
    #: `retrying` (failed, comes back), `committed` (the handler is through, effects are not), `handled`,
    #: `filtered` (its consumer did not want it), `dead`, `erased` (nobody is to have it any more).
    state: str
    attempts: int
    first_at: datetime = Field(sa_type=UtcDateTime)
    handled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error: str | None = None
    #: When its last try failed, if one did.
    failed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: While it is retrying: when its copy returns from the tier.
    retry_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Effect(SQLModel, table=True):
    """Something outside the database that a handler intends: performed after the commit, before the ack."""

    __tablename__ = "effect"
    __table_args__: ClassVar[Any] = BY_KEY
    event_id: str = Field(primary_key=True)
    consumer: str = Field(primary_key=True)
    #: Order within the delivery, from 0.
    ordinal: int = Field(primary_key=True)
    #: Durable name of the function that performs it.
    kind: str
    arguments: dict[str, Any] = Field(sa_type=JSON)
    #: Sent along so that the other side can recognise a second try; a mail's Message-ID.
    key: str
    #: `intended`, `sent`, `unknown` (the other side may have taken it, and no answer came), or `erased`: never done.
    state: str
    #: The process that performs it, and until when nobody else may, unless that one says that it failed.
    owner: str
    busy_until: datetime = Field(sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error: str | None = None


class Activity(SQLModel, table=True):
    """One line of the activity log; an id need not sort as its event's time does, so each index has both."""

    __tablename__ = "activity"
    __table_args__ = (
        Index("activity_time", "time", "event_id"),
        Index("activity_type", "type", "time", "event_id"),
        Index("activity_subject", "subject", "time", "event_id"),
        BY_KEY,
    )
    event_id: str = Field(primary_key=True)
    type: str
    subject: str | None = None
    time: datetime = Field(sa_type=UtcDateTime)


class ScheduleRun(SQLModel, table=True):
    """One due time of one schedule that was decided: the key makes it happen once, whatever the replicas."""

    __tablename__ = "schedule_run"
    __table_args__ = (
        Index("schedule_run_ordered", "due_at", sqlite_where=_ORDERED, postgresql_where=_ORDERED),
        Index("schedule_run_special", "schedule", "due_at", sqlite_where=_SPECIAL, postgresql_where=_SPECIAL),
        Index(
            "schedule_run_operation",
            "operation_id",
            "state",
            sqlite_where=_OF_AN_OPERATION,
            postgresql_where=_OF_AN_OPERATION,
        ),
        BY_KEY,
    )
    schedule: str = Field(primary_key=True)
    due_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    #: The id that its event has, or would have.
    event_id: str
    #: When it came into its state.
    fired_at: datetime = Field(sa_type=UtcDateTime)
    #: `due` (in time, or a little late), `missed` (announced after a gap), `manual`, `backfill`.
    kind: str = "due"
    #: `fired`, `ordered` (by an operator: a scheduler fires it at once), `skipped` (overlap), `cancelled` (an order).
    state: str = "fired"
    #: Of a backfill.
    operation_id: str | None = None
    #: Why it was skipped; who ordered it.
    note: str | None = None


class Lease(SQLModel, table=True):
    """The right to do something alone, until it runs out; `counter` is raised under it only."""

    __tablename__ = "lease"
    name: str = Field(primary_key=True)
    holder: str
    expires_at: datetime = Field(sa_type=UtcDateTime)
    #: The relay's: the last position given in the event log.
    counter: int = Field(default=0, sa_type=BIG)


class Idempotency(SQLModel, table=True):
    """The answer that a POST with an Idempotency-Key was given, for its repetitions."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("idempotency_created", "created_at", "key"), BY_KEY)
    #: Method, path and the client's key.
    key: str = Field(primary_key=True)
    #: SHA-256 of the request body, hexadecimal.
    fingerprint: str
    status: int
    headers: dict[str, str] = Field(sa_type=JSON)
    body: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


def table(model: type[SQLModel]) -> Table:
    """The SQLAlchemy Core table of a model, for statements without the cost of the unit of work."""
    return cast("Table", model.__table__)  # type: ignore[attr-defined]
