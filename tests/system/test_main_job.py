"""What the README promises to a newcomer, on real servers."""

import json
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.installation import Installation
from tests.waiting import until

pytestmark = pytest.mark.system


def register(installation: Installation, name: str) -> dict[str, Any]:
    body = {"name": name, "email": f"{name.lower().replace(' ', '.')}@example.com"}
    status, answer = installation.ask("POST", "/users", body)
    assert status == 201, answer
    return dict(answer)


@pytest.mark.alone
def test_within_a_second_the_mail_is_there_and_the_activity_log_has_its_line(installation: Installation) -> None:
    user = register(installation, "Ada Lovelace")
    began = time.monotonic()
    until(lambda: user["email"] in installation.mails(), what="the mail")
    until(lambda: user["event_id"] in installation.activity(), what="the line")
    assert time.monotonic() - began < 1.0
    (mail,) = (installation.state / "mailbox").glob("*ada.lovelace@example.com.eml")
    assert "Welcome to Tidings, Ada Lovelace" in mail.read_text()


def test_the_events_story_is_told(installation: Installation) -> None:
    user = register(installation, "Grace Hopper")

    def handled() -> Any:
        _, story = installation.ask("GET", f"/events/{user['event_id']}")
        # Handled, it may be before the relay has written down that the broker took it.
        is_over = story["state"] == "published" and {each["state"] for each in story["deliveries"]} == {"handled"}
        return story if is_over else None

    story = until(handled, what="all deliveries")
    assert ("published", ["activity-log", "welcome-email"]) == (
        story["state"],
        [each["consumer"] for each in story["deliveries"]],
    )
    assert ["sent"] == [each["state"] for each in story["deliveries"][1]["effects"]]


def test_the_management_ui_shows_the_topology_and_names(on_sqlite: Installation) -> None:
    def management(path: str) -> Any:
        parts = urlsplit(str(on_sqlite.status()["management"]))
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        address = f"http://{parts.hostname}:{parts.port}"
        passwords.add_password(None, address, str(parts.username), str(parts.password))
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
        with opener.open(f"{address}/api/{path}", timeout=10) as answer:
            return json.load(answer)

    queues = {queue["name"] for queue in management("queues/tidings")}
    tiers = {"retry.5s", "retry.30s", "retry.2m", "retry.10m", "retry.1h"}
    listed = json.loads(on_sqlite.command("consumers", "list", "--json").stdout)["items"]
    consumers = {each["name"] for each in listed}
    assert {"welcome-email", "activity-log", "heartbeat"} <= consumers
    assert {"dead-letters"} | consumers | tiers == queues
    assert "events" in {exchange["name"] for exchange in management("exchanges/tidings")}
    names = {
        connection["client_properties"]["connection_name"].partition(" ")[2].partition(" ")[0]
        for connection in until(
            lambda: management("vhosts/tidings/connections"), seconds=15, what="the list of connections"
        )
    }
    assert {"gateway", "scheduler", "consumers", "jobs"} >= names
    assert "consumers" in names


def test_the_heartbeat_passes_every_ten_seconds(on_sqlite: Installation) -> None:
    first = len(on_sqlite.activity("heartbeat.ticked"))
    until(lambda: len(on_sqlite.activity("heartbeat.ticked")) > first, seconds=12, what="a heartbeat")


def test_a_second_up_says_that_it_runs_already(on_sqlite: Installation) -> None:
    again = on_sqlite.command("up", "--detach")
    assert (0, True) == (again.returncode, "runs already" in again.stdout)


def test_the_metrics_of_each_program_count_what_happened(on_sqlite: Installation) -> None:
    register(on_sqlite, "Mary Somerville")
    with on_sqlite.client() as client:
        client.request("GET", "/metrics", headers={"authorization": f"Bearer {on_sqlite.token()}"})
        text = client.getresponse().read().decode()
    assert 'tidings_events_accepted_total{type="user.registered"}' in text
    assert "tidings_outbox_rows" in text
