"""The events that a shadow run is about, and what became of each when it came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from itertools import islice
from operator import attrgetter

from sqlalchemy import bindparam, select

from infra.database import effects, event_log, inbox
from infra.database.engine import Database
from infra.database.tables import BIG, Effect, EventLog, table
from infra.subscriptions import EVERY_TYPE

_LOG = table(EventLog)
#: Events that are read at once.
_SLICE = 100
_NEXT = (
    select(_LOG.c.position, _LOG.c.event_id, _LOG.c.type, _LOG.c.body)
    .where(_LOG.c.position > bindparam("after", type_=BIG), _LOG.c.position <= bindparam("until", type_=BIG))
    .where(_LOG.c.erased_at.is_(None))
    .order_by(_LOG.c.position)
    .limit(_SLICE)
)
_NEXT_OF_TYPE = _NEXT.where(_LOG.c.type == bindparam("type"))


@dataclass(frozen=True, slots=True)
class Past:
    """An event of the log."""

    position: int
    event_id: str
    type: str
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """What the consumer did with it, if it was given it."""

    #: Its state in the inbox; None: it never came.
    state: str | None
    #: The handler's work is committed.
    is_through: bool
    effects: Sequence[Effect]


def events(
    database: Database, types: Sequence[str], *, since: datetime, until: datetime | None, most: int
) -> Iterator[Past]:
    """Events of these types in the order of the log, read bit by bit."""
    with database.reading() as session:
        after = event_log.position_at(session, since)
        last = event_log.last_position(session) if until is None else event_log.position_at(session, until)
    each = [_of_type(database, None if one == EVERY_TYPE else one, after, last) for one in types]
    return islice(merge(*each, key=attrgetter("position")), most)


def record(database: Database, event_id: str, consumer: str) -> Record:
    """What is known of an event at a consumer."""
    with database.reading() as session:
        entry = inbox.look(session, event_id, consumer)
        done = [each for each in effects.of_event(session, event_id) if each.consumer == consumer]
    return Record(entry.state if entry else None, entry is not None and entry.is_through, done)


def _of_type(database: Database, type_: str | None, after: int, last: int) -> Iterator[Past]:
    """Of one type, or of all: each query walks a part of one index."""
    statement = _NEXT if type_ is None else _NEXT_OF_TYPE
    while True:
        query = {"after": after, "until": last} | ({} if type_ is None else {"type": type_})
        with database.reading() as session:
            rows = [Past(*row) for row in session.connection().execute(statement, query)]
        yield from rows
        if len(rows) < _SLICE:
            return
        after = rows[-1].position
