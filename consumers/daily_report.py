"""Mail the operator what happened on a day."""

from datetime import UTC, datetime, time, timedelta

from events.clock import DayEnded
from events.envelope import event_types
from infra.database import figures
from infra.database.engine import Database
from infra.settings import Settings
from infra.subscriptions import Context, subscribe


@subscribe("daily-report", to=DayEnded, concurrency=1)
def report(event: DayEnded, context: Context) -> None:
    """Mail the operator, if there is one, what happened on a day; it is counted outside of any transaction."""
    operator = context.provided(Settings).operator
    if operator is None:
        return
    since, until = _span(event)
    with context.provided(Database).reading() as session:
        found = figures.of(session, since, until, event_types())
    context.mail.send(
        "daily-report",
        to=operator,
        day=f"{event.day:%A, %d %B %Y}",
        since=f"{since:%Y-%m-%d %H:%M}",
        until=f"{until:%Y-%m-%d %H:%M}",
        events=[[name, count] for name, count in found.events.items()],
        lines=_lines(found),
    )


def _span(event: DayEnded) -> tuple[datetime, datetime]:
    """The day's beginning and end; of an event that does not say them, by UTC."""
    if event.since is not None and event.until is not None:
        return event.since.astimezone(UTC), event.until.astimezone(UTC)
    begin = datetime.combine(event.day, time.min, tzinfo=UTC)
    return begin, begin + timedelta(days=1)


def _lines(found: figures.Figures) -> list[list[str]]:
    slowest = found.slowest
    road = f"{slowest.seconds:.1f} s, {slowest.type} at {slowest.consumer} ({slowest.event_id})" if slowest else "none"
    return [
        ["Registrations", f"{found.registrations:,}"],
        ["Mails sent", f"{found.mails:,}"],
        ["Dead letters, new", f"{found.dead_letters:,}"],
        ["Dead letters, open now", f"{found.open_dead_letters:,}"],
        ["Fires missed", f"{found.missed_fires:,}"],
        ["Slowest road", road],
    ]
