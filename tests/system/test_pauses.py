"""A consumer that is paused in the whole of Tidings, by an operator or by itself: its events wait, and then go on."""

import json
import time
import urllib.request
from typing import Any

import pytest

from infra.local import control
from infra.local.places import Places
from tests.installation import Installation
from tests.mailbox import Answer, Mailbox
from tests.waiting import until

pytestmark = pytest.mark.system
NAME = "welcome-email"


def register(installation: Installation, name: str) -> dict[str, Any]:
    status, user = installation.ask("POST", "/users", {"name": name, "email": f"{name.lower()}@example.com"})
    assert status == 201, user
    return dict(user)


def state_at(installation: Installation, event_id: str) -> str:
    """State of the event's delivery to the consumer that is paused."""
    _, story = installation.ask("GET", f"/events/{event_id}")
    return str(next(each["state"] for each in story["deliveries"] if each["consumer"] == NAME))


def test_a_paused_consumer_sends_nothing_and_then_everything(installation: Installation) -> None:
    """Paused over HTTP, resumed by command; the programs are ready all the time."""
    status, shown = installation.ask("POST", f"/consumers/{NAME}/pause", {"why": "a test"})
    assert (200, "paused") == (status, shown["state"])
    until(lambda: paused_on_the_bus(installation), seconds=5, what="the pause in the consumers program")
    try:
        users = [register(installation, f"Paused{number}") for number in range(3)]
        until(lambda: {each["event_id"] for each in users} <= set(installation.activity()), what="the other consumer")
        # Which may be before the relay has written down that the broker took them.
        until(lambda: lag(installation) >= 3, what="the log")
        assert ["paused"] * 3 == [state_at(installation, each["event_id"]) for each in users]
        assert {"ready"} == {each["state"] for each in installation.status()["processes"]}
        assert not {each["email"] for each in users} & set(installation.mails())
    finally:
        done = installation.command("consumers", "resume", NAME, "--why", "the test ends", "--json")
    assert (0, "running") == (done.returncode, json.loads(done.stdout)["state"])
    resumed_at = time.monotonic()
    until(lambda: {each["email"] for each in users} <= set(installation.mails()), what="the mails")
    assert time.monotonic() - resumed_at < 4  # two seconds for the table, and a busy machine
    until(lambda: state_at(installation, users[-1]["event_id"]) == "handled", what="the end of the last one")


@pytest.mark.timeout(240)
def test_while_the_mail_server_defers_all_mails_the_consumer_pauses_itself_and_then_goes_on(
    mailing: Installation, mailbox: Mailbox
) -> None:
    mailbox.always = Answer.DEFER
    users = [register(mailing, f"Deferred{number}") for number in range(60)]
    shown = until(lambda: paused_by_itself(mailing), what="the pause")
    assert "20 failures in a row, the last of them smtplib.SMTPDataError" == shown["pause"]["reason"]
    until(lambda: state_at(mailing, users[-1]["event_id"]) == "paused", what="the pause of the last event")
    tried = len(mailbox.log)
    assert 20 <= tried < 60  # all others wait in the queue

    mailbox.always = Answer.ACCEPT
    until(lambda: state_of(mailing) == "running", seconds=35, what="the end of the pause")
    until(lambda: len(mailbox.messages()) >= 60, seconds=90, what="all mails")
    assert sorted(each["email"] for each in users) == sorted(str(mail["To"]) for mail in mailbox.messages())


def lag(installation: Installation) -> int:
    """Events that it has not come to."""
    return int(installation.ask("GET", f"/consumers/{NAME}")[1]["lag_events"])


def state_of(installation: Installation) -> str:
    return str(installation.ask("GET", f"/consumers/{NAME}")[1]["state"])


def paused_by_itself(installation: Installation) -> dict[str, Any]:
    """The consumer, once it has paused itself."""
    _, shown = installation.ask("GET", f"/consumers/{NAME}")
    return dict(shown) if shown["pause"] and shown["pause"]["by"] == "failures" else {}


def paused_on_the_bus(installation: Installation) -> bool:
    """Whether the consumers program says so itself: until then it may still take a message."""
    record = control.running(Places(installation.state))
    assert record is not None
    probe = next(each.probe for each in record.processes if each.name == "consumers")
    with urllib.request.urlopen(str(probe), timeout=5) as answer:
        return bool({NAME: "paused by an operator"} == json.load(answer)["notes"])
