"""A shadow run in words."""

from collections import Counter

import typer

from infra.commands import output
from infra.shadowing.views import Arguments, EventView, Summary


def tell(seen: EventView) -> None:
    """One event that is not as it was."""
    typer.echo(f"{seen.event_id}  {output.plain(seen.type)}  {'; '.join(_parts(seen))}")


def sum_up(summary: Summary) -> None:
    """The whole run."""
    if not summary.events:
        typer.echo("There is no such event in the log.")
        return
    events = "1 event" if summary.events == 1 else f"{summary.events:,} events"
    typer.echo(f"{events}{' until it was stopped' if summary.stopped else ''}: {_figures(summary)}.")
    for title, counts in (("Would be", summary.states), ("Differs", summary.differences), ("Fails by", summary.errors)):
        if counts:
            typer.echo(f"{title}: {_listed(counts)}.")
    typer.echo(f"Nothing of it happened; the database was held for {summary.longest_ms:g} ms at most.")


def _parts(seen: EventView) -> list[str]:
    if seen.differences is None:
        parts = [seen.state if seen.error is None else f"would fail: {output.plain(seen.error)}"]
        parts += [f"{each.kind} {_arguments(each.arguments)}" for each in seen.effects]
        parts += [f"publishes {type_}" for type_ in seen.publishes]
        return parts + [f"{name} {count}" for name, count in seen.rows.items()]
    parts = [] if seen.state == seen.recorded else [f"{seen.recorded} before, {seen.state} now"]
    parts += [f"{each.how} {each.kind} {_arguments(each.arguments)}" for each in seen.differences]
    return parts + ([] if seen.error is None else [output.plain(seen.error)])


def _arguments(arguments: Arguments) -> str:
    if isinstance(arguments, list):
        return f"({', '.join(map(output.plain, arguments))})"
    said = (f"{output.plain(name)}: {_value(value)}" for name, value in arguments.items())
    return f"({', '.join(said)})"


def _value(value: object) -> str:
    if isinstance(value, list | tuple) and len(value) == 2:
        return f"{output.plain(value[0])} → {output.plain(value[1])}"
    return output.plain(value)


def _figures(summary: Summary) -> str:
    parts = ((summary.as_recorded, "as recorded"), (summary.differ, "differ"), (summary.new, "without a record"))
    return ", ".join(f"{count:,} {what}" for count, what in parts if count)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{output.plain(name)} ({count:,})" for name, count in counts.most_common())
