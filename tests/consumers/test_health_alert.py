"""The mail of a change: to the operator, readable, and kept back while it is the mail server that fails."""

from datetime import UTC, datetime

import pytest

from events.health import HealthChanged
from infra.settings import load
from infra.subscriptions import recorded
from infra.testing import Kit

SINCE, BACK = datetime(2026, 11, 22, 9, 30, tzinfo=UTC), datetime(2026, 11, 22, 9, 42, tzinfo=UTC)
FAILING = HealthChanged(component="broker", state="failing", since=SINCE, detail="<it> cannot be reached")
WELL = HealthChanged(component="broker", state="ok", since=BACK, failing_since=SINCE, detail="answered in 3 ms")


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
    kit: Kit, event: HealthChanged, subject: str, lines: list[str]
) -> None:
    kit.provide(load(operator_email="ops@example.org"))
    (mail,) = kit.deliver(event, to="health-alert").mails
    assert ("ops@example.org", subject) == (mail.to, mail.subject)
    assert all(line in mail.text.splitlines() for line in lines)
    assert ("<it>" in str(mail.html), "2026-11-22 09:30:00 UTC" in str(mail.html)) == (False, True)


def test_without_an_operator_nothing_is_mailed(kit: Kit) -> None:
    kit.provide(load(smtp_url="smtp://mail.test"))
    assert ("handled", []) == ((told := kit.deliver(FAILING, to="health-alert")).state, told.mails)


def test_the_mail_of_a_failing_mail_server_goes_when_that_is_back(kit: Kit) -> None:
    kit.fail_effects("mail", times=10)
    event_id = kit.deliver(FAILING, to="health-alert").event_id
    kit.advance(hours=1)
    assert ([], "retrying") == (kit.mails, kit.state_of(event_id, "health-alert"))
    kit.advance(hours=1)
    assert (1, "handled") == (len(kit.mails), kit.state_of(event_id, "health-alert"))
    (subscription,) = [each for each in recorded() if each.consumer == "health-alert"]
    retry = subscription.retry
    assert (86_400, None) == (retry.max_age, subscription.pause_after)
    assert sum(retry.delays) >= 86_400
