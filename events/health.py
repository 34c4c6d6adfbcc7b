"""How what Tidings needs is doing."""

from typing import Literal

from pydantic import AwareDatetime

from events.envelope import Event


class HealthChanged(Event, type="health.changed", version=1, subject="component"):
    """Something that Tidings needs is failing, or is well again."""

    #: `broker`, `database`, `smtp`, or `heartbeat` for the road from the clock to the consumers.
    component: str
    state: Literal["ok", "failing"]
    #: Since when it is in this state.
    since: AwareDatetime
    #: What was found, in one line without addresses.
    detail: str
    #: When it is well again: since when it had been failing.
    failing_since: AwareDatetime | None = None
