"""Lists of events a page at a time."""

from sqlmodel import Session

from gateway.events.schemas import EventFilter
from gateway.pages import Cursor, Page, by_position
from infra.announcing import finding
from infra.announcing.views import EventItem
from infra.database import event_log, held
from infra.database.held import Place

_log = Cursor("events", by_position)
_outbox = Cursor("events-to-come", Place.read)


def listed(session: Session, wanted: EventFilter) -> Page[EventItem]:
    """A page of events in one state."""
    asked = wanted.model_dump(include={"type", "subject", "since", "until"})
    if wanted.state == "published":
        before = _log.key(wanted.cursor)
        items = finding.log(session, event_log.Filter(**asked), before=before, limit=wanted.limit + 1)
        return _log.page(items, wanted.limit, lambda item: item.position or 0)
    after = _outbox.key(wanted.cursor)
    rows = finding.outbox(session, held.Filter(state=wanted.state, **asked), after=after, limit=wanted.limit + 1)
    page = _outbox.page(rows, wanted.limit, lambda row: str(row[0]))
    return Page(items=[item for _, item in page.items], next=page.next)
