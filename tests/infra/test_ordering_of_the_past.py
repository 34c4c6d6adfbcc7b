"""An ordered consumer that is sent its past: the order of the log holds for that, and for what is new beside it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import insert

from infra.database import backfills, event_log
from infra.database.consumer_tables import Backfill
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.database.tables import table
from infra.outcomes import Done, PassedOver
from tests.ordered import LEDGER, Ordered

ADA = uuid4()
_OPERATION, _BACKFILL = table(Operation), table(Backfill)


@pytest.fixture
def ordered(database: Database) -> Ordered:
    return Ordered(database)


def send_past(database: Database, upto: int, *, until: int, state: str = "running", types: Sequence[str] = ()) -> None:
    """Send the log's first events to the consumer, and have the backfill go on until a position."""
    with database.transaction() as session:
        connection, now = session.connection(), datetime.now(UTC)
        row = {"id": str(uuid4()), "kind": "consumer.backfill", "state": state, "request": {}, "total": until}
        counts = {"sent": upto, "handled": 0, "failed": 0, "message": "", "created_at": now, "updated_at": now}
        connection.execute(insert(_OPERATION), {**row, **counts})
        part = {"operation_id": row["id"], "consumer": LEDGER, "types": list(types), "after": 0, "until": until}
        connection.execute(insert(_BACKFILL), {**part, "sent": 0, "settled": 0, "joined": True})
        if upto:
            (one,) = [each for each in backfills.to_send(session) if each.operation_id == row["id"]]
            sent = event_log.at(session, range(1, upto + 1))
            assert backfills.move(session, one, upto, sent, now)


def test_the_past_that_is_sent_to_a_consumer_is_handled_in_order_too(ordered: Ordered) -> None:
    events = ordered.log(*[ADA] * 4)
    ordered.scan(3, since=3)
    send_past(ordered.database, 3, until=3)
    sent_at = datetime.now(UTC)
    for each in reversed(events):
        ordered.deliver(each, backfilled_at=None if each is events[3] else sent_at)
    assert [events[0].id] == ordered.handled
    rows = ordered.resent()
    assert [(each.id, each is not events[3]) for each in events[1:]] == [(row.event_id, row.backfilled) for row in rows]
    for each in events[1:]:
        assert Done() == ordered.deliver(each)


@pytest.mark.parametrize(
    ("state", "types", "waits"),
    [("running", (), True), ("running", ("day.ended",), False), ("stopped", (), False)],
)
def test_a_new_event_waits_for_the_past_of_its_subject_that_is_still_to_be_sent(
    ordered: Ordered, state: str, types: tuple[str, ...], waits: bool
) -> None:
    *_, last = ordered.log(ADA, ADA, ADA)
    ordered.scan(2, since=2)
    send_past(ordered.database, 0, until=2, state=state, types=types)
    assert (PassedOver() if waits else Done()) == ordered.deliver(last)


def test_an_event_of_the_past_that_waits_stays_one_although_the_relay_has_not_recorded_yet_that_it_sent_it(
    ordered: Ordered,
) -> None:
    first, second, new = ordered.log(ADA, ADA, ADA)
    ordered.scan(2, since=2)
    send_past(ordered.database, 0, until=2)
    sent = datetime.now(UTC)
    assert PassedOver() == ordered.deliver(new)
    assert PassedOver() == ordered.deliver(second, backfilled_at=sent)
    assert Done() == ordered.deliver(first, backfilled_at=sent)
    assert [(second.id, True), (new.id, False)] == [(row.event_id, row.backfilled) for row in ordered.resent()]
