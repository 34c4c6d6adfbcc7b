"""What a handler announces for later, in the whole of Tidings: it waits in sight, over restarts, until its time."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.installation import Installation
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
def planning(tmp_path: Path) -> Iterator[Installation]:
    """Tidings with a consumer that plans ahead; for one test alone, which restarts it."""
    installation = Installation(tmp_path, CONSUMER_PACKAGES="tests.system.later")
    try:
        installation.up()
        yield installation
    finally:
        installation.down()


def waiting(installation: Installation) -> list[dict[str, Any]]:
    """What the gateway lists."""
    status, page = installation.ask("GET", "/events?state=waiting")
    assert 200 == status
    return list(page["items"])


def handled(installation: Installation, event_id: str) -> dict[str, Any]:
    """The event's story, once its consumer is through with it, and the relay too."""
    _, story = installation.ask("GET", f"/events/{event_id}")
    states = {each["consumer"]: each["state"] for each in story["deliveries"]}
    return dict(story) if story["state"] == "published" and states.get("follow-up") == "handled" else {}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_what_a_handler_announces_for_later_survives_everything_and_comes_in_time(planning: Installation) -> None:
    status, user = planning.ask("POST", "/users", {"name": "Ada", "email": "ada@example.com"})
    assert 201 == status
    (planned,) = until(lambda: waiting(planning), what="the follow-up")
    assert ("followup.due", user["id"], "/consumers/follow-up-planner", user["event_id"], user["event_id"]) == (
        planned["type"], planned["subject"], planned["source"], planned["causation_id"], planned["correlation_id"]
    )  # fmt: skip
    assert planned["time"] == planned["available_at"]
    data = json.dumps({"user_id": str(uuid4()), "name": "Grace", "email": "grace@example.com"})
    mistake = planning.command("events", "publish", "user.registered", "--data", data, "--delay", "30m", "--json")
    assert 0 == mistake.returncode, mistake.stderr

    planning.down()
    planning.up()

    other = json.loads(mistake.stdout)["id"]
    assert [other, planned["id"]] == [each["id"] for each in waiting(planning)]
    assert 0 == planning.command("events", "cancel", other, "--why", "a test").returncode
    status, moved = planning.ask("PATCH", f"/events/{planned['id']}", {"delay": 2})
    assert 200 == status
    story = until(lambda: handled(planning, planned["id"]), seconds=20, what="the follow-up's handling")
    due = moment(moved["available_at"])
    assert (due, user["event_id"]) == (moment(story["time"]), story["causation_id"])
    (taken,) = [each for each in story["deliveries"] if each["consumer"] == "follow-up"]
    # The log has its row after the broker's confirm, by when the consumer may be through.
    for at in (moment(story["published_at"]), moment(taken["handled_at"])):
        assert due <= at < due + timedelta(seconds=5)  # on a busy machine
    assert [] == waiting(planning)
    assert 410 == planning.ask("GET", f"/events/{other}")[0]
    assert "grace@example.com" not in planning.mails()
