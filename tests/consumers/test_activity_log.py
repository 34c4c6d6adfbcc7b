"""The activity log: a line of every event, once."""

from datetime import date

from sqlalchemy import select

from consumers.activity_log import log_activity
from events.clock import DayEnded
from events.envelope import announce, encode
from infra.database.engine import Database
from infra.database.tables import Activity, table
from infra.delivery import Deliveries
from infra.outcomes import Done, Incoming
from infra.subscriptions import Batch, Subscription


def test_every_event_leaves_one_line(database: Database) -> None:
    envelope = announce(DayEnded(day=date(2026, 11, 22)), source="/scheduler")
    subscription = Subscription("activity-log", ("#",), log_activity, batch=Batch())
    deliver = Deliveries(database, {}).handler(subscription)
    other = announce(DayEnded(day=date(2026, 11, 23)), source="/scheduler")
    assert [Done()] * 3 == deliver([Incoming(encode(envelope)), Incoming(encode(other)), Incoming(encode(envelope))])
    assert [Done()] == deliver([Incoming(encode(envelope))])
    with database.reading() as session:
        lines = session.connection().execute(select(table(Activity))).all()
    assert {(one.id, "day.ended", one.subject, one.time) for one in (envelope, other)} == {
        tuple(line) for line in lines
    }
    assert 2 == len(lines)
