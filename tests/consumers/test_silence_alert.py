"""The mail about silent schedules: one for many, to the operator."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from consumers import TEMPLATES
from consumers.silence_alert import alert
from events.envelope import Event, announce, encode
from events.schedules import ScheduleRecovered, ScheduleStalled
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.mail import Mailer, Templates
from infra.outcomes import Done, Incoming, Outcome
from infra.settings import Settings, load
from infra.subscriptions import Batch, Subscription
from tests.mailbox import Mailbox

SINCE = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
LINE = "since 2026-11-22 09:30:00 UTC"


def stalled(name: str) -> ScheduleStalled:
    return ScheduleStalled(schedule=name, silent_since=SINCE)


def recovered(name: str) -> ScheduleRecovered:
    return ScheduleRecovered(schedule=name, silent_since=SINCE)


def deliver(database: Database, mailbox: Mailbox, events: Sequence[Event], **settings: str) -> list[Outcome]:
    mailer = Mailer(mailbox.url, sender="t@example.org", templates=Templates(TEMPLATES))
    deliveries = Deliveries(database, {"mail": mailer.perform}, provisions={Settings: load(**settings)})
    types = (ScheduleStalled.TYPE, ScheduleRecovered.TYPE)
    handler = deliveries.handler(Subscription("silence-alert", types, alert, batch=Batch(1000, 1.0)))
    outcomes = list(handler([Incoming(encode(announce(event, source="/consumers"))) for event in events]))
    mailer._smtp._drop()
    return outcomes


@pytest.mark.parametrize(
    ("events", "subject", "lines"),
    [
        ([stalled("report")], "Tidings: 1 schedule fell silent", [f"- report, {LINE}"]),
        (
            [recovered("tick"), stalled("tick"), stalled("report")],
            "Tidings: 2 schedules fell silent",
            [f"- report, {LINE}", f"- tick, {LINE}"],
        ),
        ([recovered("a"), recovered("b")], "Tidings: 2 schedules recovered", [f"- a, {LINE}", f"- b, {LINE}"]),
        ([stalled(f"tick-{n:02}") for n in range(60)], "Tidings: 60 schedules fell silent", ["- and 10 more"]),
    ],
)
def test_the_operator_reads_which_in_one_mail(
    sqlite_database: Database, mailbox: Mailbox, events: Sequence[Event], subject: str, lines: list[str]
) -> None:
    outcomes = deliver(sqlite_database, mailbox, events, operator_email="ops@example.org")
    assert [Done()] * len(events) == outcomes
    (mail,) = mailbox.messages()
    text, html = (part.get_content() for part in mail.iter_parts())
    assert ("ops@example.org", subject) == (mail["To"], mail["Subject"])
    assert all(line in text.splitlines() for line in lines)
    assert all(line.removeprefix("- ") in html for line in lines)


def test_without_an_operator_nothing_is_mailed(sqlite_database: Database, mailbox: Mailbox) -> None:
    assert [Done()] == deliver(sqlite_database, mailbox, [stalled("report")], smtp_url=mailbox.url)
    assert [] == mailbox.log
