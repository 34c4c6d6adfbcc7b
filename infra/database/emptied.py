"""When each queue was last made anew: of what was published before, nothing waits in it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database import backfills, consumers, event_log
from infra.database.recovery_tables import Emptied
from infra.database.tables import table

_EMPTIED = table(Emptied)
_TIMES = select(_EMPTIED.c.queue, _EMPTIED.c.at)
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def note(session: Session, made: Mapping[str, datetime]) -> list[str]:
    """Write down queues that were missing and were made at these times; gives those that may have held something.

    A consumer's queue that is made for the first time has lost nothing as long as no event followed its record and
    nothing of the past was sent to it, and no queue has while there was no event at all.
    """
    last, past = event_log.last_position(session), backfills.consumers_of(session)
    empty = {row.consumer for row in consumers.declared(session) if row.since >= last} - past
    lost = {queue: at for queue, at in made.items() if queue not in empty} if last else {}
    connection = session.connection()
    for queue, at in lost.items():
        new = _INSERT[connection.dialect.name](_EMPTIED).values(queue=queue, at=at)
        connection.execute(
            new.on_conflict_do_update(
                index_elements=["queue"], set_={"at": new.excluded.at}, where=_EMPTIED.c.at < new.excluded.at
            )
        )
    return sorted(lost)


def times(session: Session) -> dict[str, datetime]:
    """When each queue was last made anew, for those of which that is known."""
    return {row.queue: row.at for row in session.connection().execute(_TIMES)}
