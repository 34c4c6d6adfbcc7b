"""The report of a day: what happened in it and nothing else, counted without scans, in one mail."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, update

import consumers.activity_report  # noqa: F401  # so that there is such a kind
from consumers import TEMPLATES
from consumers.daily_report import report
from events.attributes import lowest_id
from events.clock import DayEnded
from events.envelope import announce, encode, event_types
from infra.database import consumers as declared
from infra.database import figures, jobs
from infra.database.engine import Database
from infra.database.figures import Figures, Road
from infra.database.recovery_tables import DeadLetter
from infra.database.schedule_tables import ScheduleGap
from infra.database.tables import Effect, EventLog, Inbox, User, table
from infra.delivery import Deliveries
from infra.mail import Mailer, Templates
from infra.outcomes import Done, Incoming
from infra.settings import Settings, load
from infra.subscriptions import Subscription, recorded
from tests.mailbox import Mailbox
from tests.plans import plans, scanned

DAY = date(2026, 11, 22)
#: The day in Berlin.
SINCE, UNTIL = datetime(2026, 11, 21, 23, tzinfo=UTC), datetime(2026, 11, 22, 23, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
#: Just before the day, at its beginning, in it, at its end.
MOMENTS = (SINCE - MINUTE, SINCE, SINCE + 600 * MINUTE, UNTIL)


def made(moment: datetime, number: int = 0) -> str:
    """An id that was made then."""
    return str(UUID(int=UUID(lowest_id(moment)).int | 7 << 76 | 2 << 62 | number))


def put(database: Database, model: Any, *rows: Mapping[str, Any]) -> None:
    with database.transaction() as session:
        session.connection().execute(insert(table(model)), list(rows))


def user(moment: datetime, number: int = 0) -> dict[str, Any]:
    own = made(moment, number)
    return {"id": own, "name": "Ada", "email": own, "email_key": own, "registered_at": moment, "event_id": own}


def logged(position: int, moment: datetime, type_: str = "user.registered") -> dict[str, Any]:
    what = {"position": position, "event_id": made(moment, position), "type": type_, "body": "{}"}
    return {**what, "published_at": moment}


def handled(position: int, moment: datetime, seconds: float) -> dict[str, Any]:
    what = {"event_id": made(moment, position), "consumer": "welcome-email", "state": "handled", "attempts": 1}
    return {**what, "first_at": moment, "handled_at": moment + timedelta(seconds=seconds)}


def mail(moment: datetime, number: int = 0, **values: Any) -> dict[str, Any]:
    what = {
        "event_id": made(moment, number),
        "consumer": "welcome-email",
        "ordinal": 0,
        "kind": "mail",
        "state": "sent",
    }
    return {**what, "arguments": {}, "key": "", "owner": "", "busy_until": moment, **values}


def letter(moment: datetime, state: str) -> dict[str, Any]:
    what = {
        "id": made(moment),
        "key": made(moment),
        "consumer": "sms",
        "reason": "too-old",
        "state": state,
        "body": b"",
    }
    when = {"first_failed_at": moment, "last_failed_at": moment}
    return {**what, **when, "error": "", "fingerprint": "", "attempts": 1, "version": "", "replays": 0}


def gap(moment: datetime, reason: str, due: int, fired: int, number: int = 0) -> dict[str, Any]:
    what = {"id": made(moment, number), "schedule": "tick", "reason": reason, "due": due, "fired": fired}
    return {**what, "policy": "skip", "first_due_at": moment, "last_due_at": moment, "found_at": moment}


def fill(database: Database) -> None:
    """A day between two others; each table has rows at its borders."""
    put(database, User, *(user(moment) for moment in MOMENTS))
    put(database, EventLog, *(logged(number, moment) for number, moment in enumerate(MOMENTS, 1)))
    put(database, EventLog, logged(5, UNTIL + MINUTE, "day.ended"))
    put(database, Inbox, *(handled(number, moment, 100 / number) for number, moment in enumerate(MOMENTS, 1)))
    put(database, Effect, *(mail(moment) for moment in MOMENTS), mail(MOMENTS[1], 1, state="intended"))
    put(database, Effect, mail(MOMENTS[1], 2, kind="sms"))
    put(database, DeadLetter, *(letter(moment, state) for moment, state in zip(MOMENTS, STATES, strict=True)))
    put(database, ScheduleGap, *(gap(moment, "missed", 10, 3) for moment in MOMENTS))
    put(database, ScheduleGap, gap(MOMENTS[1], "paused", 10, 0, 1))


STATES = ("waiting", "handled", "replaying", "discarded")


def counted(database: Database) -> Figures:
    with database.reading() as session:
        return figures.of(session, SINCE, UNTIL, event_types())


def test_a_day_holds_its_beginning_and_not_its_end(database: Database) -> None:
    fill(database)
    found = counted(database)
    slowest = found.slowest
    assert slowest is not None
    assert 50 == round(slowest.seconds, 3)
    assert Road("welcome-email", "user.registered", made(SINCE, 2), slowest.seconds) == slowest
    assert Figures(2, {"user.registered": 2}, 2, 2, 2, 14, slowest) == found


def test_a_day_on_which_nothing_happened_is_all_noughts(database: Database) -> None:
    assert Figures(0, {}, 0, 0, 0, 0, None) == counted(database)


def test_no_figure_reads_a_table_from_end_to_end(database: Database) -> None:
    """The day is a hundredth of what there is."""
    days = [SINCE + timedelta(minutes=3 * number) for number in range(-15_000, 15_000)]
    put(database, User, *(user(moment, number) for number, moment in enumerate(days)))
    put(database, EventLog, *(logged(number, moment) for number, moment in enumerate(days, 1)))
    put(database, Inbox, *(handled(number, moment, 1) for number, moment in enumerate(days, 1)))
    put(database, Effect, *(mail(moment, number) for number, moment in enumerate(days)))
    put(database, DeadLetter, *({**letter(moment, "handled"), "error": "x" * 99} for moment in days[::3]))
    put(database, ScheduleGap, *(gap(moment, "missed", 10, 3) for moment in days[::3]))
    with plans(database) as found:
        assert 480 == counted(database).registrations
    for name in ("users", "event_log", "inbox", "effect", "dead_letter", "schedule_gap"):
        asked = [plan for plan in found if name in plan]
        assert asked
        assert [] == [plan for plan in asked if scanned(plan, name)]


def test_the_operator_gets_one_mail_however_often_the_event_comes(database: Database, mailbox: Mailbox) -> None:
    fill(database)
    event = DayEnded(day=DAY, since=SINCE, until=UNTIL)
    message = Incoming(encode(announce(event, source="/scheduler")))
    for again in (message, message, Incoming(message.body, redelivered=True), Incoming(message.body, replay=True)):
        deliver(database, mailbox, again)
    (sent,) = mailbox.messages()
    text, html = (part.get_content() for part in sent.iter_parts())
    assert ("operator@tidings.example", "Tidings on Sunday, 22 November 2026") == (sent["To"], sent["Subject"])
    assert {
        "From 2026-11-21 23:00 to 2026-11-22 23:00 UTC.",
        "Registrations           2",
        "Dead letters, open now  2",
        "Fires missed            14",
        "  user.registered         2",
    } <= set(text.splitlines())
    assert "<td>14</td>" in html


def test_the_activity_of_the_day_is_reported_once_and_the_mail_says_where(database: Database, mailbox: Mailbox) -> None:
    with database.transaction() as session:
        declared.declare(session, [each for each in recorded() if each.consumer == "activity-report"])
    event = DayEnded(day=DAY, since=SINCE, until=UNTIL)
    message = Incoming(encode(announce(event, source="/scheduler")))
    deliver(database, mailbox, message, zone="Europe/Berlin")
    deliver(database, mailbox, message, zone="Europe/Berlin")
    with database.reading() as session:
        (found,) = jobs.page(session, jobs.Filter())
    wanted = {"since": "2026-11-22", "until": "2026-11-23", "zone": "Europe/Berlin"}
    assert ("activity-report", "daily-report", wanted) == (
        found.job.kind,
        found.job.requested_by,
        found.job.parameters,
    )
    (sent,) = mailbox.messages()
    text, html = (part.get_content() for part in sent.iter_parts())
    assert all(f"/jobs/{found.job.id}/result" in form for form in (text, html))


def test_the_activity_is_reported_where_there_is_no_operator_to_be_told(
    sqlite_database: Database, mailbox: Mailbox
) -> None:
    with sqlite_database.transaction() as session:
        declared.declare(session, [each for each in recorded() if each.consumer == "activity-report"])
    message = Incoming(encode(announce(DayEnded(day=DAY), source="/scheduler")))
    deliver(sqlite_database, mailbox, message, smtp_url=mailbox.url)
    with sqlite_database.reading() as session:
        (found,) = jobs.page(session, jobs.Filter())
    assert ("UTC", []) == (found.job.parameters["zone"], mailbox.log)


def test_a_day_without_its_hours_is_one_of_utc(sqlite_database: Database, mailbox: Mailbox) -> None:
    fill(sqlite_database)
    with sqlite_database.transaction() as session:
        later = {"id": made(datetime(2026, 11, 22, 23, 59, tzinfo=UTC))}
        session.connection().execute(update(table(User)).where(table(User).c.id == made(UNTIL)).values(later))
    deliver(sqlite_database, mailbox, Incoming(encode(announce(DayEnded(day=DAY), source="/scheduler"))))
    (sent,) = mailbox.messages()
    assert "Registrations           2" in next(sent.iter_parts()).get_content().splitlines()


def test_without_an_operator_nothing_is_counted(sqlite_database: Database, mailbox: Mailbox) -> None:
    deliver(
        sqlite_database,
        mailbox,
        Incoming(encode(announce(DayEnded(day=DAY), source="/scheduler"))),
        smtp_url=mailbox.url,
    )
    assert [] == mailbox.log


def deliver(database: Database, mailbox: Mailbox, message: Incoming, **settings: str) -> None:
    mailer = Mailer(mailbox.url, sender="t@example.org", templates=Templates(TEMPLATES))
    provisions: dict[type, object] = {Settings: load(**settings), Database: database}
    deliveries = Deliveries(database, {"mail": mailer.perform}, provisions=provisions)
    assert [Done()] == deliveries.handler(Subscription("daily-report", ("day.ended",), report))([message])
    mailer._smtp._drop()
