"""The event types by name: their versions, and who takes them."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from events.envelope import event_types
from events.registry import families
from infra.database import consumers
from infra.database.tables import Subscription
from infra.schemas import serving


class TypeItem(BaseModel):
    """One event type."""

    type: str
    versions: list[int] = Field(description="Those that can be read, the newest last.")
    subject: str | None = Field(description="The field that says whom or what it is about.")
    description: str
    consumers: list[str] | None = Field(description="Who takes it; null where no database could be asked.")
    repeats: int = Field(description="How often it may be among the causes of its own events.")


def page(
    rows: Sequence[Subscription] | None, *, text: str | None = None, after: str | None = None, limit: int
) -> list[TypeItem]:
    """By name, from after this one on: those whose name holds a text; `rows` are the recorded consumers."""
    known = event_types() | families()
    names = [name for name in known if (after is None or name > after) and (text is None or text in name)]
    return [
        TypeItem(
            type=name,
            versions=serving.versions(name),
            subject=known[name].SUBJECT,
            description=(known[name].__doc__ or "").strip(),
            consumers=None if rows is None else _takers(rows, name, known[name].MEMBER),
            repeats=known[name].REPEATS,
        )
        for name in names[:limit]
    ]


def _takers(rows: Sequence[Subscription], event_type: str, member: str | None) -> list[str]:
    """Those that events of the type are for; of a family, those that take some of its members."""
    found = [row.consumer for row in consumers.takers(rows, event_type)]
    if member is not None:
        found += [row.consumer for row in rows if any(each.startswith(f"{event_type}.") for each in row.types)]
    return sorted(found)
