"""Whether anything is under way: what the database says of each event at each consumer that it is for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlmodel import Session

from infra.database import outbox, resends
from infra.database.consumer_tables import Waiting
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import EventLog, Inbox, table
from infra.subscriptions import Subscription

_LOG, _INBOX, _LETTER, _WAITING = table(EventLog), table(Inbox), table(DeadLetter), table(Waiting)
Pair = tuple[str, str]
_FINE = frozenset({"handled", "filtered", "erased"})


def pending(
    session: Session, cast: Sequence[Subscription], given: Iterable[Pair], letters: Collection[str]
) -> list[str]:
    """What is under way, a line each; `given` are events brought to one consumer, `letters` keys of what is dead."""
    run = session.connection().execute
    waiting = outbox.backlog(session).rows + resends.count(session)
    lines = [f"{waiting} to be published"] if waiting else []
    known = {(row.event_id, row.consumer): row for row in run(select(_INBOX))}
    kept = set(run(select(_LETTER.c.key)).scalars())
    in_turn = {(row.event_id, row.consumer) for row in run(select(_WAITING.c.event_id, _WAITING.c.consumer))}
    pairs = {*_of_log(session, cast), *given} - in_turn
    lines += [f"{event_id} at {who}" for event_id, who in pairs if not _is_over(known, kept, event_id, who)]
    return lines + [f"dead letter {key}" for key in sorted(set(letters) - kept)]


def next_return(session: Session) -> datetime | None:
    """When the next retry comes back."""
    returns = [row for row in session.connection().execute(_RETURNS).scalars() if row is not None]
    return min(returns, default=None)


_RETURNS = select(_INBOX.c.retry_at).where(_INBOX.c.state == "retrying")
_COUNT = select(func.count()).select_from(_LOG)


def logged(session: Session) -> int:
    """Events in the log."""
    return int(session.connection().execute(_COUNT).scalar_one())


def _of_log(session: Session, cast: Sequence[Subscription]) -> Iterable[Pair]:
    for row in session.connection().execute(select(_LOG.c.event_id, _LOG.c.type).where(_LOG.c.erased_at.is_(None))):
        yield from ((row.event_id, each.consumer) for each in cast if each.takes(row.type))


def _is_over(known: Mapping[Pair, Row[Any]], kept: Collection[str], event_id: str, consumer: str) -> bool:
    """For now: a retry that waits for its time is."""
    if f"{consumer}/{event_id}" in kept:
        return True
    row = known.get((event_id, consumer))
    if row is None:
        return False
    return row.state in _FINE or (row.state == "retrying" and row.retry_at > datetime.now(UTC))
