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
from infra.subscriptions import Subscription


def test_every_event_leaves_one_line(database: Database) -> None:
    envelope = announce(DayEnded(day=date(2026, 11, 22)), source="/scheduler")
    deliver = Deliveries(database, {}).handler(Subscription("activity-log", ("#",), log_activity))
    assert [Done(), Done()] == [deliver(Incoming(encode(envelope))), deliver(Incoming(encode(envelope)))]
    with database.reading() as session:
        lines = session.connection().execute(select(table(Activity))).all()
    assert [(envelope.id, "day.ended", "2026-11-22", envelope.time)] == [tuple(line) for line in lines]
