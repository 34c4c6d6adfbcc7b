"""What people type about dead letters: the options that choose them, and how they are replayed."""

import functools
import inspect
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer

from infra.commands.arguments import identifier, moment, text
from infra.database.dead_letters import Filter
from infra.recovery.views import EVERY_STATE, OPEN, Reason

R = TypeVar("R")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


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


AnyIds = Annotated[list[str] | None, typer.Argument(parser=identifier, metavar="[ID]")]
States = Annotated[list[str] | None, typer.Option("--state", metavar="STATE", help="Several times, or all.")]
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
