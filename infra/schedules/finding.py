"""One schedule, for whoever is about to show it or to do something with it."""

from sqlmodel import Session

from infra.database import schedules
from infra.database.schedule_tables import Schedule
from infra.errors import NotKnown
from infra.subscriptions import is_name


def row(session: Session, name: str, *, lock: bool = False) -> Schedule:
    """The schedule as it is stored; locked, if asked for, until the transaction ends.

    Raises:
        NotKnown: there is none of this name.
    """
    found = schedules.find(session, name, lock=lock) if is_name(name) else None
    if found is None:
        raise NotKnown("No schedule has this name.")
    return found
