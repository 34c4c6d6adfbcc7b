"""When an event that an operator announces is to be published: at a moment, or after a while; at most a year ahead."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

#: A typing error in the year must not hide an event for longer than anybody remembers it; a leap year is a year, too.
LONGEST = timedelta(days=366)
_TOO_FAR = f"At most a year ahead: {LONGEST.days} days."
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")


def soon_enough(moment: datetime) -> datetime:
    """A moment in UTC.

    Raises:
        PydanticCustomError: it is more than a year ahead.
    """
    if moment - datetime.now(UTC) > LONGEST:
        raise PydanticCustomError("too_far", _TOO_FAR)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "This time is out of range.") from None


def span(value: Any) -> timedelta:
    """The time that a number (seconds) or a text such as `10m` says.

    Raises:
        PydanticCustomError: it is none, or more than a year.
    """
    if isinstance(value, str) and (found := _SPAN.fullmatch(value)):
        seconds: float = int(found[1]) * _UNITS[found[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        seconds = value
    else:
        raise PydanticCustomError("delay", "Seconds from 0 up, or a text such as 30s, 10m, 2h or 7d.")
    if seconds > LONGEST.total_seconds():
        raise PydanticCustomError("too_far", _TOO_FAR)
    return timedelta(seconds=seconds)


#: A moment with its time zone, in UTC; one in the past means at once.
AvailableAt = Annotated[AwareDatetime, AfterValidator(soon_enough)]
#: So long from now on.
Delay = Annotated[
    timedelta,
    BeforeValidator(span),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": LONGEST.total_seconds()},
                {"type": "string", "pattern": "^[0-9]{1,2}[smhdw]$"},
            ],
            "description": "Seconds, or a text such as 30s, 10m, 2h or 7d; instead of `available_at`.",
            "examples": ["10m"],
        }
    ),
]


def due(available_at: datetime | None, delay: timedelta | None) -> datetime | None:
    """The moment that the one or the other means; None for at once."""
    now = datetime.now(UTC)
    moment = now + delay if delay is not None else available_at
    return moment if moment is not None and moment > now else None
