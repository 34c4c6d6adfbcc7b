"""Mail the operator what happened on a day, and have the report of its activity made."""

from datetime import UTC, datetime, time, timedelta

from events.clock import DayEnded
from events.envelope import event_types
from infra.database import figures
from infra.database.engine import Database
from infra.errors import NotKnown, NotPossible
from infra.jobs.starting import start
from infra.settings import Settings
from infra.subscriptions import Context, subscribe


@subscribe("daily-report", to=DayEnded, concurrency=1)
def report(event: DayEnded, context: Context) -> None:
    """Have the activity of a day reported, and mail the operator, if there is one, what happened on it."""
    settings = context.provided(Settings)
    since, until = _span(event)
    if settings.operator is None:
        _start(event, context, settings)
        return
    with context.provided(Database).reading() as session:  # before the delivery's transaction, as it may take a while
        found = figures.of(session, since, until, event_types())
    context.mail.send(
        "daily-report",
        to=settings.operator,
        day=f"{event.day:%A, %d %B %Y}",
        since=f"{since:%Y-%m-%d %H:%M}",
        until=f"{until:%Y-%m-%d %H:%M}",
        events=[[name, count] for name, count in found.events.items()],
        lines=_lines(found),
        job=_start(event, context, settings),
    )


def _start(event: DayEnded, context: Context, settings: Settings) -> str | None:
    """The job that reports the day's activity; the mail goes without it where nobody makes such reports."""
    zone = "UTC" if event.since is None else settings.zone
    until = event.day + timedelta(days=1)
    asked = {"since": event.day.isoformat(), "until": until.isoformat(), "zone": zone}
    try:
        return start(context, "activity-report", asked)
    except (NotKnown, NotPossible) as error:
        context.log.warning("no report of the activity", reason=str(error))
        return None


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
