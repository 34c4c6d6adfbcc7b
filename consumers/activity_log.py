"""Keep a line of every event: the activity log."""

from collections.abc import Sequence

from sqlalchemy import insert

from events.envelope import Event
from infra.database.tables import Activity, table
from infra.subscriptions import Batch, Context, subscribe

_ADD = insert(table(Activity))


@subscribe("activity-log", to=Event, batch=Batch(size=200, wait=0.02))
def log_activity(batch: Sequence[Context]) -> None:
    """Write the lines of many events in one transaction, each of them exactly once."""
    rows = [
        {"event_id": one.event_id, "type": one.event.TYPE, "subject": one.subject, "time": one.time} for one in batch
    ]
    batch[0].session.connection().execute(_ADD, rows)
