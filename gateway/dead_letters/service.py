"""Reading dead letters a page at a time, and counting what a replay would do."""

import re
from datetime import UTC, datetime

from sqlmodel import Session

from gateway.dead_letters.schemas import LetterFilter, ReplayMany
from gateway.pages import Cursor, Page, by_id
from infra.database import dead_letters
from infra.database.engine import Database
from infra.recovery.views import GroupView, LetterView, PreviewView

_PLACE = re.compile(r"([0-9:.T+-]{25,32})/[0-9a-f]{16}")


def newest(session: Session, wanted: LetterFilter) -> Page[LetterView]:
    """A page of dead letters, the last kept first."""
    before = _letters.key(wanted.cursor)
    rows = dead_letters.page(session, wanted.asked(), before=before, limit=wanted.limit + 1)
    return _letters.page([LetterView.model_validate(row) for row in rows], wanted.limit, lambda item: item.id)


def groups(session: Session, wanted: LetterFilter) -> Page[GroupView]:
    """A page of groups, the one that failed last first."""
    before = _groups.key(wanted.cursor)
    rows = dead_letters.groups(session, wanted.asked(), before=before, limit=wanted.limit + 1)
    page = _groups.page(rows, wanted.limit, lambda group: group.cursor)
    return Page(items=[GroupView.model_validate(group) for group in page.items], next=page.next)


def preview(database: Database, wanted: ReplayMany) -> str:
    """What a replay would do, as JSON."""
    with database.reading() as session:
        counted = dead_letters.preview(session, wanted.filter("waiting"))
    return PreviewView.model_validate(counted).model_dump_json()


def _by_group(text: str) -> str | None:
    """The key of the list of groups: the last failure's time, and the fingerprint."""
    if not (place := _PLACE.fullmatch(text)):
        return None
    try:
        moment = datetime.fromisoformat(place[1])
    except ValueError:
        return None
    return text if moment.tzinfo == UTC else None


_letters = Cursor("dead-letters", by_id)
_groups = Cursor("dead-letter-groups", _by_group)
