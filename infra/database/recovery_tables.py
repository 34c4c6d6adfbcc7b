"""The schema of what goes wrong and is put right: dead letters, resends, the sweep, pauses, operations, the audit."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from infra.database.tables import BIG, BY_KEY, UtcDateTime

_REPLAYING = text("state = 'replaying'")


class DeadLetter(SQLModel, table=True):
    """What a consumer, or the broker for it, gave up: one row for each event and consumer, however often it comes."""

    __tablename__ = "dead_letter"
    __table_args__ = (
        Index("dead_letter_state", "state", "id"),
        Index("dead_letter_consumer", "consumer", "id"),
        Index("dead_letter_fingerprint", "fingerprint", "id"),
        Index("dead_letter_event", "event_id"),
        Index("dead_letter_operation", "operation_id", "state", "id"),
        Index("dead_letter_replaying", "consumer", "subject", sqlite_where=_REPLAYING, postgresql_where=_REPLAYING),
    )
    #: UUIDv7: in the order in which they were kept.
    id: str = Field(primary_key=True)
    #: Consumer and event id, or the hash of a body that is no event: what makes two messages the same.
    key: str = Field(unique=True)
    consumer: str
    event_id: str | None = None
    type: str | None = None
    subject: str | None = None
    #: handler-error, not-json, unknown-type, newer-version, invalid-data, too-large, too-old, delivery-limit, loop,
    #: skipped.
    reason: str
    #: Class of the exception, with its module; None where there was none.
    exception: str | None = None
    error: str
    #: `file:line in function` of the first frame that is the application's own.
    frame: str | None = None
    #: Of consumer, exception class and frame: failures with the same cause have the same one.
    fingerprint: str
    attempts: int
    first_failed_at: datetime = Field(sa_type=UtcDateTime)
    last_failed_at: datetime = Field(sa_type=UtcDateTime)
    #: Version of Tidings that gave it up.
    version: str
    #: The message as it came.
    body: bytes = Field(sa_type=LargeBinary)
    #: `waiting`, `queued` (an operation will replay it), `replaying`, `handled`, `discarded`, `superseded` (edited),
    #: `erased`.
    state: str
    #: The operation that replays it, until that has counted how it ended.
    operation_id: str | None = None
    replays: int = 0
    #: When its last replay began.
    replayed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: Why it was closed, or the event that took its place.
    closed_with: str | None = None


class Resend(SQLModel, table=True):
    """A message on its way to one consumer's queue alone, by a replay or the sweep: the relay sends it."""

    __tablename__ = "resend"
    __table_args__ = (UniqueConstraint("consumer", "event_id"), {"sqlite_autoincrement": True})
    sequence: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    consumer: str
    event_id: str | None = None
    type: str | None = None
    body: bytes = Field(sa_type=LargeBinary)
    #: The dead letter that is replayed; None when the sweep sends it.
    dead_letter_id: str | None = None
    #: A backfill had sent it before it was lost.
    backfilled: bool = False
    #: How often it was asked for: what the relay has sent for an earlier asking is not what the last one asks for.
    asked: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    added_at: datetime = Field(sa_type=UtcDateTime)


class Unsettled(SQLModel, table=True):
    """An event that a consumer's scan went past although it was not settled; the row goes when it is."""

    __tablename__ = "unsettled"
    __table_args__: ClassVar[Any] = BY_KEY
    consumer: str = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BIG)
    event_id: str
    published_at: datetime = Field(sa_type=UtcDateTime)
    resent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Emptied(SQLModel, table=True):
    """A queue, of a consumer or another, that the broker was found without; it was made anew."""

    __tablename__ = "emptied"
    queue: str = Field(primary_key=True)
    #: When that was done last: what was published before does not wait there any more.
    at: datetime = Field(sa_type=UtcDateTime)


class Pause(SQLModel, table=True):
    """A consumer that takes no messages: there is a row for as long as it is paused."""

    __tablename__ = "pause"
    consumer: str = Field(primary_key=True)
    #: `operator`, or `failures` when it paused itself.
    by: str
    reason: str
    since: datetime = Field(sa_type=UtcDateTime)
    #: When the next single message is tried, or until when the probe is its prober's; None: none before an operator
    #: resumes it.
    probe_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: The process that tries one at present.
    prober: str | None = None


class Operation(SQLModel, table=True):
    """Something long that an operator started, worked off in the background."""

    __tablename__ = "operation"
    #: UUIDv7.
    id: str = Field(primary_key=True)
    kind: str
    #: `running`, `stopping` (asked to), `stopped`, `done`, `failed`.
    state: str
    request: dict[str, Any] = Field(sa_type=JSON)
    total: int
    sent: int = 0
    handled: int = 0
    failed: int = 0
    #: Where it stands, or why it ended, in one line.
    message: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Audit(SQLModel, table=True):
    """One thing that an operator did."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_target", "target", "id"),)
    #: UUIDv7.
    id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    who: str
    #: `dead-letter.replay`, `consumer.pause`, …
    action: str
    #: Id or name of what it was done to.
    target: str
    why: str
    details: dict[str, Any] = Field(sa_type=JSON)
