"""What people type about schedules."""

from datetime import datetime
from typing import Annotated, get_args

import typer

from infra.commands.arguments import moment, text
from infra.schedules.views import Missed, Origin, Overlap, RunKind, RunState, ScheduleState

_WHEN = "7d|2h|TIME"

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its durable name.")]
State = Annotated[ScheduleState | None, typer.Option(metavar="|".join(get_args(ScheduleState)))]
From = Annotated[Origin | None, typer.Option(metavar="|".join(get_args(Origin)))]
Type = Annotated[
    str | None, typer.Option("--type", parser=text, metavar="TYPE", help="Those that announce events of this type.")
]
AfterName = Annotated[
    str | None, typer.Option("--cursor", parser=text, metavar="NAME", help="Go on where a list ended.")
]
RunsState = Annotated[RunState | None, typer.Option("--state", metavar="|".join(get_args(RunState)))]
Kind = Annotated[RunKind | None, typer.Option(metavar="|".join(get_args(RunKind)))]
Since = Annotated[datetime | None, typer.Option(parser=moment, metavar=_WHEN, help="Due at this moment or after it.")]
Until = Annotated[datetime | None, typer.Option(parser=moment, metavar=_WHEN, help="Due before this moment.")]
BeforeDue = Annotated[
    datetime | None, typer.Option("--cursor", parser=moment, metavar="TIME", help="Go on where a list ended.")
]
First = Annotated[datetime, typer.Option("--since", parser=moment, metavar=_WHEN, help="From this moment on.")]
End = Annotated[
    datetime | None, typer.Option("--until", parser=moment, metavar=_WHEN, help="Before this moment; else now.")
]
OfMissed = Annotated[
    Missed,
    typer.Option(metavar="|".join(get_args(Missed)), help="What becomes of due times that nobody was there for."),
]
MissedLimit = Annotated[int, typer.Option(min=1, max=10_000, help="With all: the most of one gap, the newest.")]
OfOverlap = Annotated[
    Overlap,
    typer.Option(metavar="|".join(get_args(Overlap)), help="While a consumer has not ended the fire before."),
]
