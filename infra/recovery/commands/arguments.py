"""What people type: the options that commands share, and the checks of their values."""

import functools
import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from events import strict_json
from events.attributes import is_text
from events.errors import NotJson
from infra.database.dead_letters import Filter
from infra.recovery.views import EVERY_STATE, OPEN, Reason

R = TypeVar("R")
#: Seconds.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
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


def ratio(value: str) -> float:
    """A part of a whole: above 0, and at most 1."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise typer.BadParameter("this is a number above 0 and at most 1.")
    return number


def place(value: str) -> str:
    """Where a list of groups ended."""
    at, _, fingerprint = value.partition("/")
    try:
        is_one = datetime.fromisoformat(at).tzinfo is not None and bool(_FINGERPRINT.fullmatch(fingerprint))
    except ValueError:
        is_one = False
    if not is_one:
        raise typer.BadParameter("use what the list before said.")
    return value


def states(given: list[str] | None) -> tuple[str, ...]:
    """The states that a list shows."""
    wanted = given or list(OPEN)
    if unknown := sorted(set(wanted) - {*EVERY_STATE, "all"}):
        raise typer.BadParameter(f"{unknown[0]!a} is no state: {', '.join(EVERY_STATE)}, or all.", param_hint="--state")
    return EVERY_STATE if "all" in wanted else tuple(wanted)


Id = Annotated[str, typer.Argument(parser=identifier, metavar="ID")]
Ids = Annotated[list[str], typer.Argument(parser=identifier, metavar="ID")]
AnyIds = Annotated[list[str] | None, typer.Argument(parser=identifier, metavar="[ID]")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]
Why = Annotated[str, typer.Option(parser=text, metavar="TEXT", help="The reason, for the audit.")]
MaybeWhy = Annotated[str | None, typer.Option(parser=text, metavar="TEXT", help="The reason, for the audit.")]
States = Annotated[list[str] | None, typer.Option("--state", metavar="STATE", help="Several times, or all.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most.")]
After = Annotated[
    str | None, typer.Option("--cursor", parser=identifier, metavar="ID", help="Go on where a list ended.")
]
AfterGroup = Annotated[
    str | None, typer.Option("--cursor", parser=place, metavar="PLACE", help="Go on where a list ended.")
]
_Text = Annotated[str | None, typer.Option(parser=text, metavar="TEXT")]
_Since = Annotated[datetime | None, typer.Option(parser=moment, metavar="7d|2h|TIME", help="Failed last at or after.")]
_Until = Annotated[datetime | None, typer.Option(parser=moment, metavar="7d|2h|TIME", help="Failed last before.")]
_FILTERS: dict[str, Any] = {
    **dict.fromkeys(("consumer", "type", "exception", "subject", "fingerprint"), _Text),
    "reason": Annotated[Reason | None, typer.Option()],
    "event_id": Annotated[str | None, typer.Option("--event", parser=identifier, metavar="ID")],
    "since": _Since,
    "until": _Until,
}


def filtered(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that choose dead letters; it gets the Filter that they make as its first argument."""

    @functools.wraps(command)
    def run(**given: Any) -> R:
        return command(_filter(**{name: given.pop(name) for name in _FILTERS}), **given)

    kind = inspect.Parameter.KEYWORD_ONLY
    options = [inspect.Parameter(name, kind, default=None, annotation=each) for name, each in _FILTERS.items()]
    _, *own = inspect.signature(command).parameters.values()
    parameters = [*(each.replace(kind=kind) for each in own), *options]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # where Typer looks for options
    return run


def is_empty(wanted: Filter) -> bool:
    """Whether a filter leaves nothing out, states aside."""
    return all(getattr(wanted, name) is None for name in _FILTERS)


def _filter(**values: Any) -> Filter:
    if values["since"] and values["until"] and values["since"] >= values["until"]:
        raise typer.BadParameter("it must be later than --since.", param_hint="--until")
    return Filter(**values, states=("waiting",))
