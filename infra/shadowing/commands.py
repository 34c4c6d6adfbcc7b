"""`./tidings consumers shadow`, and the option `--shadow` of the backfill: nothing happens, and all of it is shown."""

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from infra import logs
from infra.commands import INTERRUPTED, output
from infra.commands.arguments import Json, moment, text
from infra.commands.opened import opened
from infra.commands.watching import Line, pause
from infra.discovery import Found
from infra.errors import NotKnown, NotPossible
from infra.settings import load
from infra.shadowing import lines, past
from infra.shadowing.past import Past
from infra.shadowing.running import Shadow
from infra.shadowing.views import EventView, Run, Summary
from infra.subscriptions import Subscription, recorded

#: Events per second, so that nothing that lives is slowed …
RATE = 50.0
#: … and so many times as long as an event took nothing is done after it.
_REST = 2
_WHEN = "7d|2h|TIME"
Name = Annotated[str, typer.Argument(metavar="CONSUMER", help="Its durable name, declared already or not.")]
Since = Annotated[datetime, typer.Option(parser=moment, metavar=_WHEN, help="Published at this moment or after it.")]
Until = Annotated[datetime | None, typer.Option(parser=moment, metavar=_WHEN, help="Published before this moment.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", parser=text, metavar="TYPE", help="Several times; else all that it takes.")
]
Rate = Annotated[float, typer.Option(min=0.1, max=100_000, help="Events per second, at most.")]
Most = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Events at most.")]
Values = Annotated[bool, typer.Option("--values", help="Show what arguments are, too: they may be personal data.")]
Discover = Callable[[], Found]


def made(discover: Discover) -> Callable[..., int]:
    """The command, for the consumers that this finds."""

    def shadow(  # noqa: PLR0913, PLR0917  # the options that people have
        name: Name,
        since: Since = "7d",  # type: ignore[assignment]  # Typer reads it as it reads what is typed
        until: Until = None,
        types: Types = None,
        limit: Most = 1_000,
        rate: Rate = RATE,
        values: Values = False,
        as_json: Json = False,
    ) -> int:
        """Show what a consumer of this tree would do with past events, or how that differs from what was done."""
        subscription = _find(name, discover)
        settings = load(log_level="error")
        logs.configure(settings, program="shadow")
        with opened() as database:
            wanted = _types(subscription, types)
            events = past.events(database, wanted, since=since, until=until, most=limit)
            return _run(Shadow(database, subscription, settings, values=values), events, name, rate, as_json=as_json)

    return shadow


def beside(backfill: Callable[..., int], discover: Discover) -> Callable[..., int]:
    """The command `backfill`, with `--shadow` and what goes with it."""
    shadow = made(discover)
    own, shared = inspect.signature(shadow).parameters, inspect.signature(backfill).parameters
    flag = Annotated[
        bool, typer.Option("--shadow", help="Nothing is sent: show what the handler of this tree would do.")
    ]

    @functools.wraps(backfill)
    def run(**given: Any) -> int:
        if not given.pop("shadow"):
            return backfill(**{name: value for name, value in given.items() if name in shared})
        if given.get("rate") is None:
            given["rate"] = RATE
        return shadow(**{name: value for name, value in given.items() if name in own})

    more = [own[name] for name in ("limit", "values") if name not in shared]
    kind = inspect.Parameter.KEYWORD_ONLY
    option = inspect.Parameter("shadow", kind, default=False, annotation=flag)
    parameters = [each.replace(kind=kind) for each in (*shared.values(), *more)]
    run.__signature__ = inspect.Signature([*parameters, option])  # type: ignore[attr-defined]  # where Typer looks
    return run


def _find(name: str, discover: Discover) -> Subscription:
    ignored = discover().ignored
    found = next((each for each in recorded() if each.consumer == name), None)
    if found is None:
        reasons = "".join(f" {module} is ignored: {reason}." for module, reason in ignored.items())
        raise NotKnown(f"No consumer of this name is in this tree.{reasons}")
    if found.job is not None:
        raise NotPossible(f"{name} is a kind of jobs, which have been done or not, and are not done for show.")
    return found


def _types(subscription: Subscription, asked: list[str] | None) -> tuple[str, ...]:
    for each in asked or ():
        if not subscription.takes(each):
            taken = " and ".join(subscription.types)
            raise typer.BadParameter(f"{subscription.consumer} takes {taken}.", param_hint="--type")
    return tuple(dict.fromkeys(asked)) if asked else subscription.types


def _run(shadow: Shadow, events: Iterator[Past], name: str, rate: float, *, as_json: bool) -> int:
    summary, items, line = Summary(consumer=name), [], Line()
    try:
        for seen in _paced(shadow, events, rate):
            summary.add(seen)
            if not seen.is_as_recorded and as_json:
                items.append(seen)
            elif not seen.is_as_recorded:
                line.end()
                lines.tell(seen)
            line.show(f"Events so far: {summary.events:,}, as recorded: {summary.as_recorded:,}")
    except KeyboardInterrupt:
        summary.stopped = True
    line.end()
    summary.longest_ms = round(shadow.longest * 1000, 1)
    if as_json:
        output.document(Run(items=items, summary=summary))
    else:
        lines.sum_up(summary)
    return INTERRUPTED if summary.stopped else 0


def _paced(shadow: Shadow, events: Iterator[Past], rate: float) -> Iterator[EventView]:
    for event in events:
        started = time.monotonic()
        yield shadow.look(event)
        took = time.monotonic() - started
        pause(max(1 / rate - took, _REST * took))
