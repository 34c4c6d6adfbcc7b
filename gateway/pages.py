"""Lists in pages: newest first, and from a page on by the key of its last row, never by counting rows."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from events.attributes import is_id
from gateway.problems import Invalid, invalid

T = TypeVar("T")
#: PostgreSQL's and SQLite's largest integer.
_LARGEST = 2**63 - 1


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = Field(description="The `cursor` of the next page; null when this is the last.")


class Paging(BaseModel, extra="forbid", frozen=True):
    """The parameters that every list takes; another one is an error, since a mistyped filter would filter nothing."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=200, description="`next` of the page before.")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "This time is out of range.") from None


#: A moment with its time zone, in UTC.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
#: A text to compare with: what no text in the database can hold is refused.
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Cursor:
    """Opaque places in one list: made of the list's name and a row's key."""

    def __init__(self, name: str, key: Callable[[str], Any]) -> None:
        self._prefix = f"{name}:"
        self._key = key

    def page(self, rows: Sequence[T], limit: int, key: Callable[[T], str | int]) -> Page[T]:
        """The page of these rows, of which one more than `limit` was asked for."""
        following = self._place(key(rows[limit - 1])) if len(rows) > limit else None
        return Page(items=list(rows[:limit]), next=following)

    def key(self, cursor: str | None) -> Any:
        """The key that a client's cursor stands for; None at the start.

        Raises:
            Invalid: this list has given no such cursor.
        """
        if cursor is None:
            return None
        try:
            place = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
        except ValueError:
            raise _unknown() from None
        if not place.startswith(self._prefix) or (key := self._key(place.removeprefix(self._prefix))) is None:
            raise _unknown()
        return key

    def _place(self, key: str | int) -> str:
        return urlsafe_b64encode(f"{self._prefix}{key}".encode()).rstrip(b"=").decode()


def by_id(text: str) -> str | None:
    """The key of a list that is ordered by UUIDv7."""
    return text if is_id(text) else None


def by_position(text: str) -> int | None:
    """The key of a list that is ordered by a number."""
    return int(text) if text.isdecimal() and len(text) < 20 and int(text) <= _LARGEST else None


def _unknown() -> Invalid:
    return invalid("query", "cursor", "This list has given no such cursor; start without one.")
