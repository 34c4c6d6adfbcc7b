"""Overlap `skip`: a due time is left out while a consumer of the tick before has not ended."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from events.attributes import write_time
from infra.database import schedules, ticks

#: Consumers that a note names.
_NAMED = 3


def hindrance(session: Session, schedule: str, due: datetime) -> str | None:
    """Why this due time must not fire yet, as the ledger notes it; None when nothing is in the way.

    The schedule's row is locked, so that what another replica fires at this moment is waited for and seen.
    """
    schedules.find(session, schedule, lock=True)
    tick = ticks.last(session, schedule, but=due)
    if tick is None or not (tick.waits or tick.open):
        return None
    who = "The relay" if tick.waits else _named(tick.open)
    verb = "have" if len(tick.open) > 1 else "has"
    what = "published" if tick.waits else "ended"
    return f"{who} {verb} not {what} the tick of {write_time(tick.due_at)}."


def _named(consumers: Sequence[str]) -> str:
    more = len(consumers) - _NAMED
    return ", ".join(consumers[:_NAMED]) + (f" and {more} more" if more > 0 else "")
