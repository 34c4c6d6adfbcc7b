"""The schema of what consumers need beside the inbox: subjects that wait for their turn, and the past that is sent."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Index, UniqueConstraint, false
from sqlmodel import Field, SQLModel

from infra.database.tables import BIG, BY_KEY, UtcDateTime


class Waiting(SQLModel, table=True):
    """An event that an ordered consumer was given while an earlier one of the same subject had not ended there."""

    __tablename__ = "waiting"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("consumer", "event_id"),
        Index("waiting_subject", "consumer", "subject", "position"),
        BY_KEY,
    )
    consumer: str = Field(primary_key=True)
    #: Its place in the event log, which is the order of a subject's events.
    position: int = Field(primary_key=True, sa_type=BIG)
    subject: str
    event_id: str
    #: A backfill had sent it.
    backfilled: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    since: datetime = Field(sa_type=UtcDateTime)


class Backfill(SQLModel, table=True):
    """A part of the event log that one consumer is sent: how far the relay has come, and how far it is settled."""

    __tablename__ = "backfill"
    operation_id: str = Field(primary_key=True)
    consumer: str
    #: Event types that are sent; empty for all that the consumer takes.
    types: list[str] = Field(sa_type=JSON)
    #: The part of the log: after this position …
    after: int = Field(sa_type=BIG)
    #: … and up to this one.
    until: int = Field(sa_type=BIG)
    #: Whether that stands fast: until its relay has bound the queue, a backfill up to now does not know its end.
    joined: bool
    #: All of it up to here has been sent, …
    sent: int = Field(sa_type=BIG)
    #: … and all up to here is settled.
    settled: int = Field(sa_type=BIG)
    #: Events per second at most; None: as fast as they are handled.
    rate: float | None = None
