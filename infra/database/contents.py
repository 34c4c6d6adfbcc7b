"""What a part of the log holds for one consumer, by type, and how much of that it has settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlmodel import Session

from infra.database import settling
from infra.database.tables import BIG, EventLog, UtcDateTime, table
from infra.subscriptions import EVERY_TYPE

_LOG = table(EventLog)
_BY_TYPE = (
    select(
        _LOG.c.type,
        func.count(),
        func.min(_LOG.c.published_at, type_=UtcDateTime),
        func.max(_LOG.c.published_at, type_=UtcDateTime),
    )
    .where(_LOG.c.position > bindparam("after", type_=BIG), _LOG.c.position <= bindparam("end", type_=BIG))
    .group_by(_LOG.c.type)
)
_BY_SOME_TYPES = _BY_TYPE.where(_LOG.c.type.in_(bindparam("types", expanding=True)))


@dataclass(frozen=True, slots=True)
class OfType:
    """What a part of the log holds of one type, for one consumer."""

    type: str
    count: int
    #: Of these, what the consumer has settled.
    settled: int
    first: datetime
    last: datetime


def look(session: Session, consumer: str, types: Sequence[str], after: int, until: int) -> list[OfType]:
    """What a part of the log holds for this consumer, by type."""
    query: dict[str, Any] = {"after": after, "end": until}
    statement = _BY_TYPE
    if EVERY_TYPE not in types:
        statement, query = _BY_SOME_TYPES, {**query, "types": list(types)}
    return [
        OfType(name, count, count - _unsettled(session, consumer, name, after, until), first, last)
        for name, count, first, last in session.connection().execute(statement.order_by(_LOG.c.type), query).all()
    ]


def _unsettled(session: Session, consumer: str, event_type: str, after: int, until: int) -> int:
    return settling.summary_between(session, consumer, [event_type], after, until).count
