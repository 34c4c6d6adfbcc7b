"""Names of time zones, as people, settings and triggers write them."""

import functools
from datetime import UTC, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

#: Files among the zones that name none: what they hold differs between machines, or is empty.
_NO_NAMES = {"localtime", "posixrules", "Factory"}


@functools.cache
def names() -> dict[str, str]:
    """The names that this machine knows, by their spelling in lower case."""
    return {name.lower(): name for name in available_timezones() | {"UTC"} if name not in _NO_NAMES}


def find(name: str) -> tzinfo:
    """The zone of this name, which was checked before; UTC needs no file."""
    return UTC if name == "UTC" else ZoneInfo(name)


def check(name: str) -> str:
    """The name, if it is one.

    Raises:
        PydanticCustomError: it is none; the text says what to write instead.
    """
    spelled = names().get(name.lower())
    if spelled == name:
        return name
    if spelled:
        raise PydanticCustomError("zone", "this zone is spelled {name}", {"name": spelled})
    if len(names()) == 1:
        raise PydanticCustomError("zone", "this machine knows no zone but UTC: install tzdata")
    raise PydanticCustomError("zone", "no such time zone: use a name such as UTC or Europe/Berlin")


Zone = Annotated[str, Field(max_length=64), AfterValidator(check)]
