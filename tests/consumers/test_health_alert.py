"""The mail of a change: to the operator, readable, and kept back while it is the mail server that fails."""

from datetime import UTC, datetime

import pytest

from consumers import TEMPLATES
from consumers.health_alert import alert
from events.envelope import announce, encode
from events.health import HealthChanged
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.mail import Mailer, Templates
from infra.outcomes import Done, Incoming, Outcome, RetryLater
from infra.settings import Settings, load
from infra.subscriptions import Subscription, recorded
from tests.mailbox import Answer, Mailbox

SINCE, BACK = datetime(2026, 11, 22, 9, 30, tzinfo=UTC), datetime(2026, 11, 22, 9, 42, tzinfo=UTC)
FAILING = HealthChanged(component="broker", state="failing", since=SINCE, detail="<it> cannot be reached")
WELL = HealthChanged(component="broker", state="ok", since=BACK, failing_since=SINCE, detail="answered in 3 ms")


def deliver(database: Database, mailbox: Mailbox, event: HealthChanged, **settings: str) -> Outcome:
    mailer = Mailer(mailbox.url, sender="t@example.org", templates=Templates(TEMPLATES))
    deliveries = Deliveries(database, {"mail": mailer.perform}, provisions={Settings: load(**settings)})
    handler = deliveries.handler(Subscription("health-alert", ("health.changed",), alert))
    (outcome,) = handler([Incoming(encode(announce(event, source="/consumers/health-check")))])
    mailer._smtp._drop()
    return outcome


@pytest.mark.parametrize(
    ("event", "subject", "lines"),
    [
        (FAILING, "Tidings: broker is failing", ["Since: 2026-11-22 09:30:00 UTC", "Found: <it> cannot be reached"]),
        (
            WELL,
            "Tidings: broker is well again",
            ["Failed from: 2026-11-22 09:30:00 UTC", "Until:       2026-11-22 09:42:00 UTC"],
        ),
    ],
)
def test_the_operator_reads_what_failed_and_when(
    sqlite_database: Database, mailbox: Mailbox, event: HealthChanged, subject: str, lines: list[str]
) -> None:
    assert Done() == deliver(sqlite_database, mailbox, event, operator_email="ops@example.org")
    (mail,) = mailbox.messages()
    text, html = (part.get_content() for part in mail.iter_parts())
    assert ("ops@example.org", subject) == (mail["To"], mail["Subject"])
    assert all(line in text.splitlines() for line in lines)
    assert ("<it>" in html, "2026-11-22 09:30:00 UTC" in html) == (False, True)


def test_without_an_operator_nothing_is_mailed(sqlite_database: Database, mailbox: Mailbox) -> None:
    assert Done() == deliver(sqlite_database, mailbox, FAILING, smtp_url=mailbox.url)
    assert [] == mailbox.log


def test_the_mail_of_a_failing_mail_server_goes_when_that_is_back(sqlite_database: Database, mailbox: Mailbox) -> None:
    mailbox.answer(Answer.DEFER)
    assert isinstance(deliver(sqlite_database, mailbox, FAILING), RetryLater)
    (subscription,) = [each for each in recorded() if each.consumer == "health-alert"]
    retry = subscription.retry
    assert (86_400, None) == (retry.max_age, subscription.pause_after)
    assert sum(retry.delays) >= 86_400
