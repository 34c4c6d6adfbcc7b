"""Reading the activity log."""

from sqlalchemy import select
from sqlmodel import Session

from gateway.activity.schemas import ActivityFilter, ActivityItem
from gateway.pages import Cursor, Page, by_id
from infra.database.tables import Activity, table

_ACTIVITY = table(Activity)
_cursor = Cursor("activity", by_id)


def newest(session: Session, wanted: ActivityFilter) -> Page[ActivityItem]:
    """A page of activity, the newest event first: event ids are UUIDv7 and sort by time."""
    query = select(_ACTIVITY).order_by(_ACTIVITY.c.event_id.desc()).limit(wanted.limit + 1)
    if wanted.type is not None:
        query = query.where(_ACTIVITY.c.type == wanted.type)
    if wanted.subject is not None:
        query = query.where(_ACTIVITY.c.subject == wanted.subject)
    if wanted.since is not None:
        query = query.where(_ACTIVITY.c.time >= wanted.since)
    if (before := _cursor.key(wanted.cursor)) is not None:
        query = query.where(_ACTIVITY.c.event_id < before)
    rows = [ActivityItem(**row._mapping) for row in session.connection().execute(query)]  # noqa: SLF001  # public
    return _cursor.page(rows, wanted.limit, lambda item: item.event_id)
