"""One consumer's trouble stays its own: while its mail server hangs, the other consumers are as quick as before."""

import json
from collections import defaultdict
from datetime import datetime
from statistics import median

import pytest
from sqlalchemy import select

from infra.database.tables import EventLog, Inbox, table
from tests.installation import Installation, ask
from tests.mailbox import Answer, Mailbox
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.alone]
#: The two states are measured in turns, so that whatever else keeps the machine busy meets both.
ROUNDS, SAMPLES = 4, 25
#: Deliveries of the consumer in trouble that may be in flight.
TROUBLED, LANE = "welcome-email", 8
#: One that takes many events in a transaction, and one that takes them one by one.
OTHERS = ("activity-log", "neighbour")
_LOG, _INBOX = table(EventLog), table(Inbox)
_HANDLED = (
    select(_INBOX.c.consumer, _LOG.c.event_id, _LOG.c.body, _INBOX.c.handled_at)
    .join(_INBOX, _INBOX.c.event_id == _LOG.c.event_id)
    .where(_LOG.c.type == "user.registered", _INBOX.c.state == "handled")
)
#: Event -> consumer -> seconds from the event's time to the commit of the consumer's work.
Latencies = dict[str, dict[str, float]]


def register(installation: Installation, prefix: str, count: int) -> list[str]:
    """Register so many people, one after the other; gives their events."""
    events = []
    with installation.client() as client:
        for number in range(count):
            body = {"name": f"Nr. {number}", "email": f"{prefix}-{number}@example.com"}
            status, answer = ask(client, "POST", "/users", body)
            assert status == 201, answer
            events.append(str(answer["event_id"]))
    return events


def handled(installation: Installation) -> Latencies:
    found: Latencies = defaultdict(dict)
    for consumer, event, body, handled_at in installation._select(_HANDLED):
        happened_at = datetime.fromisoformat(json.loads(body)["time"])
        found[event][consumer] = (handled_at - happened_at).total_seconds()
    return found


def await_all(installation: Installation, events: list[str], *consumers: str) -> Latencies:
    def is_done() -> Latencies | None:
        found = handled(installation)
        return found if all(name in found.get(event, {}) for event in events for name in consumers) else None

    found = until(is_done, seconds=60, what=f"the work of {consumers}")
    assert found is not None
    return found


def hanging(mailbox: Mailbox) -> int:
    return sum(attempt.answer is Answer.HANG for attempt in list(mailbox.log))


@pytest.mark.timeout(300)
def test_while_one_consumers_mail_server_hangs_the_others_are_as_quick_as_before(
    mailing: Installation, mailbox: Mailbox
) -> None:
    installation = mailing
    await_all(installation, register(installation, "warm", 20), TROUBLED, *OTHERS)
    calm, troubled = list[str](), list[str]()
    for turn in range(ROUNDS):
        calm += register(installation, f"calm-{turn}", SAMPLES)
        await_all(installation, calm, TROUBLED, *OTHERS)

        mailbox.always = Answer.HANG
        full = register(installation, f"full-{turn}", 3 * LANE)
        until(lambda: hanging(mailbox) == LANE, what="a full lane of hanging mails")
        await_all(installation, full, *OTHERS)
        troubled += register(installation, f"troubled-{turn}", SAMPLES)
        await_all(installation, troubled, *OTHERS)
        assert LANE == hanging(mailbox)  # all the time

        mailbox.pause()
        mailbox.clear()
        mailbox.start()
        await_all(installation, full + troubled, TROUBLED)

    found = handled(installation)
    medians = {
        name: tuple(median(found[each][name] for each in events) for events in (calm, troubled)) for name in OTHERS
    }
    print("MEDIANS", medians)  # noqa: T201
    assert {} == {name: (before, during) for name, (before, during) in medians.items() if during > 2 * before}
