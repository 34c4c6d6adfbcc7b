"""Reading the activity log."""

from datetime import UTC, datetime

from sqlalchemy import select, tuple_
from sqlmodel import Session

from events.attributes import is_id
from gateway.activity.schemas import ActivityFilter, ActivityItem
from gateway.pages import Cursor, Page
from infra.database.tables import Activity, table

_ACTIVITY = table(Activity)
#: A foreign id need not be of its event's time, so the id alone is no order.
_order = tuple_(_ACTIVITY.c.time, _ACTIVITY.c.event_id)


def newest(session: Session, wanted: ActivityFilter) -> Page[ActivityItem]:
    """A page of activity, what happened last first."""
    equal = {"type": wanted.type, "subject": wanted.subject}
    query = select(_ACTIVITY).where(*(_ACTIVITY.c[name] == value for name, value in equal.items() if value is not None))
    if wanted.since is not None:
        query = query.where(_ACTIVITY.c.time >= wanted.since)
    if wanted.until is not None:
        query = query.where(_ACTIVITY.c.time < wanted.until)
    if (before := _cursor.key(wanted.cursor)) is not None:
        query = query.where(_order < before)
    query = query.order_by(_ACTIVITY.c.time.desc(), _ACTIVITY.c.event_id.desc()).limit(wanted.limit + 1)
    rows = [ActivityItem(**row._mapping) for row in session.connection().execute(query)]  # noqa: SLF001  # public
    return _cursor.page(rows, wanted.limit, lambda item: f"{item.time.isoformat()}/{item.event_id}")


def _place(text: str) -> tuple[datetime, str] | None:
    """Where a page ended: the time and the id of its last line."""
    at, _, event_id = text.partition("/")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (moment, event_id) if moment.tzinfo == UTC and is_id(event_id) else None


_cursor = Cursor("activity", _place)
