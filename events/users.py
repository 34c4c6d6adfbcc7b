"""What happens to users."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from events.envelope import Event

#: 1 to 200 characters, no control character and no line or paragraph separator.
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
        description="A person's name, of whatever form.",
        examples=["Ada Lovelace"],
    ),
]

# The gateway has checked the address with Pydantic's EmailStr before it announced the fact. Asking again at each decode
# would cost every consumer 90 µs, many times all the rest, and would park facts of the past whenever a release of the
# validator grows stricter. What is kept is what protects a consumer: one "@", no white space, none of the characters
# that would make one address several in a mail header.
_PART = r"[^\s\x00-\x1f\x7f-\x9f@<>()\[\],;:\"\\]"
#: An e-mail address that the gateway let in (at most 254 characters, RFC 5321).
Email = Annotated[
    str,
    Field(
        max_length=254,
        pattern=f"^{_PART}+@{_PART}+$",
        json_schema_extra={"format": "email"},
        examples=["ada@example.com"],
    ),
]


class UserRegistered(Event, type="user.registered", version=1, subject="user_id"):
    """Somebody has an account now."""

    user_id: UUID
    name: Name
    email: Email


class UserWeekPassed(Event, type="user.week.passed", version=1, subject="user_id"):
    """Somebody has had an account for a week."""

    user_id: UUID
    name: Name
    email: Email = Field(description="The address as it was registered.")
    registered_at: AwareDatetime


class ReminderPageEnded(Event, type="reminder.page.ended", version=1, repeats=500):
    """The users of a week ago are more than one delivery takes: the next one goes on behind the last."""

    until: AwareDatetime = Field(description="End of the window of time, as in the `hour.passed` that began it.")
    last: UUID = Field(description="Id of the last user that was looked at.")


class UserErased(Event, type="user.erased", version=1, subject="user_id"):
    """All that was kept about somebody is erased: whoever keeps more of it elsewhere erases it now."""

    user_id: UUID
