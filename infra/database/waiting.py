"""What waits for its turn: an ordered consumer was given it while an earlier event of the same subject was open."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.consumer_tables import Waiting
from infra.database.tables import BIG, Subscription, UtcDateTime, table

_WAITING, _SUBSCRIPTION = table(Waiting), table(Subscription)
_MINE = _WAITING.c.consumer == bindparam("who")
_OF_SUBJECT = (_MINE, _WAITING.c.subject == bindparam("subject"))
_NEXT = (
    select(_WAITING.c.position, _WAITING.c.event_id, _WAITING.c.backfilled)
    .where(*_OF_SUBJECT)
    .order_by(_WAITING.c.position)
    .limit(bindparam("most"))
)
_TAKE = (
    delete(_WAITING)
    .where(_MINE, _WAITING.c.position.in_(bindparam("positions", expanding=True)))
    .returning(_WAITING.c.position)
)
_FORGET_THE_GONE = delete(_WAITING).where(_WAITING.c.consumer.not_in(select(_SUBSCRIPTION.c.consumer)))
_HEADS = (
    select(_WAITING.c.consumer, _WAITING.c.subject, func.min(_WAITING.c.position))
    .where(or_(_WAITING.c.consumer > bindparam("who"), and_(_MINE, _WAITING.c.subject > bindparam("after"))))
    .group_by(_WAITING.c.consumer, _WAITING.c.subject)
    .order_by(_WAITING.c.consumer, _WAITING.c.subject)
    .limit(bindparam("most"))
)
_THESE = select(_WAITING.c.event_id, _WAITING.c.consumer).where(
    _WAITING.c.consumer.in_(bindparam("names", expanding=True)),
    _WAITING.c.event_id.in_(bindparam("events", expanding=True)),
)
_FIRST = func.min(_WAITING.c.position)
_SUBJECTS = (
    select(
        _WAITING.c.subject,
        func.count().label("events"),
        _FIRST.label("first"),
        func.min(_WAITING.c.since, type_=UtcDateTime).label("since"),
    )
    .where(_MINE)
    .group_by(_WAITING.c.subject)
    .having(bindparam("after", type_=BIG) < _FIRST)
    .order_by(_FIRST)
    .limit(bindparam("most"))
)
_ONE_SUBJECT = _SUBJECTS.where(*_OF_SUBJECT)
_COUNTS = select(
    _WAITING.c.consumer,
    func.count().label("events"),
    func.count(_WAITING.c.subject.distinct()).label("subjects"),
).group_by(_WAITING.c.consumer)
_ADD = {
    name: dialect.insert(_WAITING).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


@dataclass(frozen=True, slots=True)
class One:
    """An event that waits."""

    position: int
    event_id: str
    #: A backfill had sent it.
    backfilled: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The first event of a subject that waits at a consumer."""

    consumer: str
    subject: str
    position: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of which events wait."""

    subject: str
    events: int
    #: Position of the first of them.
    first: int
    #: When the first one came.
    since: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How much waits at one consumer."""

    events: int = 0
    subjects: int = 0


def add(session: Session, consumer: str, subject: str, one: One) -> None:
    """Have an event wait; one that does already goes on as it is."""
    row = {"consumer": consumer, "subject": subject, **asdict(one), "since": datetime.now(UTC)}
    connection = session.connection()
    connection.execute(_ADD[connection.dialect.name], row)


def next_of(session: Session, consumer: str, subject: str, most: int) -> list[One]:
    """The first ones of a subject that wait."""
    query = {"who": consumer, "subject": subject, "most": most}
    return [One(*row) for row in session.connection().execute(_NEXT, query)]


def take(session: Session, consumer: str, positions: Sequence[int]) -> set[int]:
    """Take these out; gives those that nobody else took."""
    query = {"who": consumer, "positions": list(positions)}
    return set(session.connection().execute(_TAKE, query).scalars())


def heads(session: Session, after: tuple[str, str], limit: int) -> list[Head]:
    """The first ones of all subjects, from after this consumer's subject on."""
    query = {"who": after[0], "after": after[1], "most": limit}
    return [Head(*row) for row in session.connection().execute(_HEADS, query)]


def those_of(session: Session, event_ids: Collection[str], consumers: Collection[str]) -> set[tuple[str, str]]:
    """Which of these events wait at which of these consumers."""
    query = {"events": list(event_ids), "names": list(consumers)}
    return {(row.event_id, row.consumer) for row in session.connection().execute(_THESE, query)}


def subjects(
    session: Session, consumer: str, *, subject: str | None = None, after: int = 0, limit: int
) -> list[Subject]:
    """The subjects that wait at a consumer, by the position of their first event, from after this one on."""
    query = {"who": consumer, "after": after, "most": limit} | ({} if subject is None else {"subject": subject})
    rows = session.connection().execute(_SUBJECTS if subject is None else _ONE_SUBJECT, query)
    return [Subject(*row) for row in rows]


def counts(session: Session) -> dict[str, Count]:
    """How much waits at each consumer at which something does."""
    return {row.consumer: Count(row.events, row.subjects) for row in session.connection().execute(_COUNTS)}


def forget_the_gone(session: Session) -> int:
    """Remove what waits at consumers that are recorded no more."""
    found: Any = session.connection().execute(_FORGET_THE_GONE)
    return int(found.rowcount)
