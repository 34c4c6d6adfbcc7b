"""How what Tidings needs is doing."""

from typing import Literal

from pydantic import AwareDatetime, Field

from events.envelope import Event


class HealthChanged(Event, type="health.changed", version=1, subject="component"):
    """Something that Tidings needs is failing, or is well again."""

    component: str = Field(
        description="`broker`, `database`, `smtp`, or `heartbeat` for the road from the clock to the consumers.",
        examples=["broker"],
    )
    state: Literal["ok", "failing"]
    since: AwareDatetime = Field(description="Since when it is in this state.")
    detail: str = Field(description="What was found, in one line without addresses.", examples=["It answers again."])
    failing_since: AwareDatetime | None = Field(
        default=None, description="When it is well again: since when it had been failing."
    )
