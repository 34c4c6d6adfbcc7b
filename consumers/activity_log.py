"""Keep a line of every event: the activity log."""

from sqlalchemy import insert

from events.envelope import Event
from infra.database.tables import Activity, table
from infra.subscriptions import Context, subscribe

_ADD = insert(table(Activity))


@subscribe("activity-log", to=Event)
def log_activity(event: Event, context: Context) -> None:
    """Write the line in the delivery's own transaction, so it is there exactly once."""
    context.session.connection().execute(
        _ADD,
        {"event_id": context.event_id, "type": event.TYPE, "subject": context.subject, "time": context.time},
    )
