"""What people type: the options that commands share, and the checks of their values."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from events import strict_json
from events.attributes import is_text
from events.errors import NotJson

#: Seconds.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"([0-9]{1,6})([smhdw])")


def text(value: str) -> str:
    """A text that a text of the database can be equal to."""
    if not is_text(value):
        raise typer.BadParameter("1 to 500 characters are allowed here, and no control character.")
    return value


def moment(value: str) -> datetime:
    """A moment: `7d` ago, or an ISO time (in the zone of this machine, unless it names one)."""
    try:
        if ago := _AGO.fullmatch(value):
            return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter("use 30m, 2h or 7d for so long ago, or a time such as 2026-11-22T09:30:00Z.") from None


def identifier(value: str) -> str:
    """A UUID in the spelling that the database keeps."""
    try:
        return str(UUID(value))
    except ValueError:
        raise typer.BadParameter("an id is a UUID, as lists show it.") from None


def data(value: str) -> dict[str, Any]:
    """A JSON object, or `@` and the file that holds one."""
    try:
        content = strict_json.read(Path(value[1:]).read_bytes() if value.startswith("@") else value.encode())
    except OSError as error:
        raise typer.BadParameter(f"the file cannot be read: {error.strerror}.") from None
    except (NotJson, ValueError):  # a ValueError for a name with NUL, or half a character
        raise typer.BadParameter("this is not JSON.") from None
    if not isinstance(content, dict):
        raise typer.BadParameter("this must be a JSON object.")
    return content


Id = Annotated[str, typer.Argument(parser=identifier, metavar="ID")]
Ids = Annotated[list[str], typer.Argument(parser=identifier, metavar="ID")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]
Why = Annotated[str, typer.Option(parser=text, metavar="TEXT", help="The reason, for the audit.")]
MaybeWhy = Annotated[str | None, typer.Option(parser=text, metavar="TEXT", help="The reason, for the audit.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count; nothing changes.")]
NoWait = Annotated[bool, typer.Option("--no-wait", "--detach", help="Come back at once; it goes on behind.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most.")]
After = Annotated[
    str | None, typer.Option("--cursor", parser=identifier, metavar="ID", help="Go on where a list ended.")
]
