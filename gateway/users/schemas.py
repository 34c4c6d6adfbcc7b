"""Users as clients send and see them."""

import unicodedata
from datetime import datetime
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from events.users import Email, Name


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _address(value: object) -> object:
    if not isinstance(value, str):
        return value  # the type itself says what is wrong
    try:
        return validate_email(value.strip(), check_deliverability=False).normalized
    except EmailNotValidError:  # its text would repeat parts of the address
        raise PydanticCustomError("email", "This is not a valid e-mail address.") from None


class Registration(BaseModel, extra="forbid", frozen=True, hide_input_in_errors=True):
    """What somebody sends to register. It takes nothing that the event `user.registered` would not take."""

    name: Annotated[Name, BeforeValidator(_trimmed)] = Field(examples=["Ada Lovelace"])
    email: Annotated[Email, BeforeValidator(_address)] = Field(examples=["ada@example.com"])


class User(BaseModel):
    """A person who registered."""

    id: str
    name: str
    email: str
    registered_at: datetime
    event_id: str = Field(description="The event that announced it: see `/events/{id}`.")


def email_key(email: str) -> str:
    """The form in which two spellings of one address are equal, the part before the @ included.

    Lower case and not `casefold`, which would make one of `faß.example` and `fass.example`, two domains of two owners.
    """
    return unicodedata.normalize("NFC", email.lower())
