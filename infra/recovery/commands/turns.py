"""`./tidings consumers waiting|skip`: subjects that wait at an ordered consumer."""

from typing import Annotated

import typer

from infra.commands import output
from infra.commands.arguments import Json, Limit, Why, text
from infra.commands.opened import opened, who
from infra.commands.output import Columns
from infra.recovery import turns
from infra.recovery.commands.consumers import Name
from infra.recovery.turns import WaitingView
from infra.recovery.views import LetterView

Only = Annotated[str | None, typer.Option("--subject", parser=text, metavar="TEXT", help="This subject alone.")]
Subject = Annotated[str, typer.Option(parser=text, metavar="TEXT", help="The subject that is to go on.")]
After = Annotated[int, typer.Option("--cursor", min=0, metavar="NUMBER", help="Go on where a list ended.")]


def waiting(name: Name, subject: Only = None, limit: Limit = 50, cursor: After = 0, as_json: Json = False) -> None:
    """Show the subjects of which events wait for their turn, and the event that each of them waits for."""
    with opened() as database, database.reading() as session:
        found = turns.oldest(session, name, subject=subject, after=cursor, limit=limit + 1)
    output.page(_WAITING, found, limit, lambda each: str(each.first), as_json=as_json)


def skip(name: Name, subject: Subject, why: Why, as_json: Json = False) -> None:
    """Give up the event that a subject waits for, so that the others go on; it becomes a dead letter."""
    with opened() as database, database.transaction() as session:
        letter = LetterView.model_validate(turns.skip(session, name, subject, who=who(), why=why))
    line = f"{subject} goes on without {letter.event_id}: ./tidings dead show {letter.id}"
    output.done(letter, line, as_json=as_json)


_WAITING: Columns[WaitingView] = {
    "subject": lambda each: each.subject,
    "events": lambda each: each.events,
    "since": lambda each: each.since,
    "waits for": lambda each: each.blocked_by and each.blocked_by.event_id,
    "type": lambda each: each.blocked_by and each.blocked_by.type,
    "state": lambda each: each.blocked_by and each.blocked_by.state,
    "attempts": lambda each: each.blocked_by and each.blocked_by.attempts,
    "error": lambda each: each.blocked_by and each.blocked_by.error,
    "tried again at": lambda each: each.blocked_by and each.blocked_by.retry_at,
}
