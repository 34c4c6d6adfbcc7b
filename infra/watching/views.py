"""The health of what Tidings needs as operators see it: the same words over HTTP and on the command line."""

from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import BaseModel, Field
from sqlmodel import Session

from infra.database import health
from infra.database.schedule_tables import Health

HealthState = Literal["ok", "failing", "unknown"]
#: After this nobody knows any more: looks are made each minute, heartbeats come more often.
STALE = timedelta(minutes=3)


class HealthView(BaseModel, frozen=True):
    """One thing that Tidings needs."""

    component: str = Field(
        description="`broker`, `database`, `smtp`, or `heartbeat`: the road from the clock to the consumers."
    )
    state: HealthState = Field(description="`unknown`: it was not looked at for minutes; then something is closed.")
    since: datetime = Field(description="Since when it is in this state; of an unknown one, when it was known last.")
    checked_at: datetime = Field(description="When it was looked at last.")
    detail: str = Field(description="What was found.")
    doubted_since: datetime | None = Field(
        description="Since when it is found in the other state, which is believed when it lasts."
    )

    @classmethod
    def of(cls, row: Health, now: datetime) -> Self:
        """As it is at this moment."""
        values = row.model_dump()
        if row.state == "ok" and now - row.checked_at > STALE:
            values |= {
                "state": "unknown",
                "since": row.checked_at,
                "detail": f"not looked at since; then: {row.detail}",
            }
        return cls(**values)


def everything(session: Session, now: datetime, state: HealthState | None = None) -> list[HealthView]:
    """All that was ever looked at, by name; or what is in this state."""
    found = [HealthView.of(row, now) for row in health.everything(session)]
    return [view for view in found if state in (None, view.state)]
