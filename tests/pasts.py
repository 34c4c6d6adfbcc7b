"""Backfills for tests: begun as an operator does, and what the database has of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from events.envelope import Envelope
from infra.backfilling import planning
from infra.backfilling.planning import Wanted
from infra.backfilling.working import Backfilling
from infra.database import backfills
from infra.database.consumer_tables import Backfill
from infra.database.engine import Database
from infra.database.recovery_tables import Operation, Unsettled
from infra.database.tables import Inbox, table
from infra.recovery import replaying
from tests.letters import handled
from tests.waiting import until

ME: dict[str, Any] = {"who": "ada", "why": ""}
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_UNSETTLED, _INBOX = table(Unsettled), table(Inbox)


def begin(database: Database, consumer: str, since: datetime = LONG_AGO, **more: Any) -> str:
    """Begin a backfill; gives the operation's id."""
    planned = planning.plan(database, Wanted(consumer=consumer, since=since, **more))
    with database.transaction() as session:
        return planning.start(session, planned, **ME).id


def look(database: Database, operation_id: str) -> Operation:
    """The operation as it is."""
    with database.reading() as session:
        return replaying.find_operation(session, operation_id)


def place(database: Database, operation_id: str) -> Backfill:
    """How far the relay has come."""
    with database.reading() as session:
        row = backfills.find(session, operation_id)
    assert row is not None
    return row


def await_sent(database: Database, operation_id: str, count: int, seconds: float = 20) -> None:
    """Wait until the relay has sent so many events."""
    until(lambda: look(database, operation_id).sent >= count, seconds=seconds, what=f"the sending of {count}")


def watched(database: Database, consumer: str) -> list[str]:
    """Ids of the events of which the sweep waits for the end, by position."""
    query = select(_UNSETTLED.c.event_id).where(_UNSETTLED.c.consumer == consumer).order_by(_UNSETTLED.c.position)
    with database.reading() as session:
        return list(session.connection().execute(query).scalars())


def settle(database: Database, envelopes: Sequence[Envelope], consumer: str) -> None:
    """Have the consumer handle these."""
    for each in envelopes:
        handled(database, each, consumer)


def ago(seconds: float) -> datetime:
    """A moment so many seconds ago, or to come."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def stopped(database: Database, operation_id: str) -> bool:
    """Have the duty look, and tell whether the operation is stopped now."""
    Backfilling(database, grace=60).step()
    return look(database, operation_id).state == "stopped"
