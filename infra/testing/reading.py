"""What a test sees of its database."""

from sqlalchemy import select
from sqlmodel import Session

from events.envelope import Envelope, decode
from infra.database.consumer_tables import Waiting
from infra.database.outbox import ORDER
from infra.database.tables import EventLog, Inbox, Outbox, table

_INBOX, _LOG, _OUTBOX, _WAITING = table(Inbox), table(EventLog), table(Outbox), table(Waiting)


def state(session: Session, event_id: str, consumer: str) -> str:
    """What became of an event at a consumer."""
    run = session.connection().execute
    known = run(select(_INBOX.c.state).where(_INBOX.c.event_id == event_id, _INBOX.c.consumer == consumer)).scalar()
    if known is not None:
        return str(known)
    waits = select(_WAITING.c.position).where(_WAITING.c.event_id == event_id, _WAITING.c.consumer == consumer)
    return "waiting" if run(waits).one_or_none() is not None else "pending"


def events(session: Session) -> list[Envelope]:
    """All events: first those that were published, as they were, then those that wait, as they will be."""
    run = session.connection().execute
    logged = run(select(_LOG.c.body).where(_LOG.c.erased_at.is_(None)).order_by(_LOG.c.position)).scalars()
    waiting = run(select(_OUTBOX.c.body).order_by(*ORDER)).scalars()
    return [decode(body.encode()) for body in (*logged, *waiting)]
