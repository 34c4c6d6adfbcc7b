"""The ledger of fires: one row for each due time of a schedule that was announced, by whichever replica came first."""

from datetime import UTC, datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.tables import ScheduleRun, table

_RUN = table(ScheduleRun)
_CLAIM = {
    name: dialect.insert(_RUN).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def claim(session: Session, schedule: str, due_at: datetime, event_id: str) -> bool:
    """Write down that this due time is announced; False when it was already."""
    connection = session.connection()
    row = {"schedule": schedule, "due_at": due_at, "event_id": event_id, "fired_at": datetime.now(UTC)}
    return bool(connection.execute(_CLAIM[connection.dialect.name], row).rowcount)
