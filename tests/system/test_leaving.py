"""A consumer leaves a Tidings that is killed meanwhile; the broker is compared with what is wanted, and put right."""

import http.client
import json
import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.database import consumers
from infra.database.engine import connect
from infra.local.readiness import _credentials
from infra.subscriptions import Subscription
from tests.installation import Installation
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
USERS, NAME = 300, "postcard"


def on_broker(installation: Installation, method: str, path: str, body: Any = None) -> None:
    """One request to the management API."""
    url = urlsplit(str(installation.status()["management"]))
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=15)
    headers = {"content-type": "application/json", **_credentials(url)}
    connection.request(method, f"/api/{path}", None if body is None else json.dumps(body), headers)
    assert connection.getresponse().status < 300
    connection.close()


def items(installation: Installation, *words: str) -> list[dict[str, Any]]:
    """What a list of the command line has."""
    done = installation.command(*words, "--json")
    return list(json.loads(done.stdout)["items"])


def test_a_consumer_leaves_and_the_broker_is_as_it_should_be(tmp_path: Path) -> None:
    tidings = Installation(tmp_path)
    _a_consumer_was_recorded(tidings)
    tidings.up()
    try:
        _the_topology_is_put_right(tidings)
        _the_consumer_leaves(tidings)
        assert 0 == tidings.command("topology", "plan").returncode
    finally:
        tidings.down()


def _a_consumer_was_recorded(tidings: Installation) -> None:
    """By a version that still had its module."""
    assert 0 == tidings.command("migrate").returncode
    database = connect(f"sqlite:///{tidings.state}/tidings.db")
    with database.transaction() as session:
        consumers.declare(session, [Subscription(NAME, ("user.registered",), lambda *_: None)])
    database.close()


def _the_topology_is_put_right(tidings: Installation) -> None:
    until(lambda: tidings.command("topology", "plan").returncode == 0, seconds=30, what="a broker as it should be")
    assert 0 == tidings.command("topology", "drift").returncode
    on_broker(tidings, "PUT", "queues/tidings/stray", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    on_broker(tidings, "POST", "bindings/tidings/e/events/q/welcome-email", {"routing_key": "user.left"})
    assert {("orphan", "stray"), ("unbinding", "welcome-email")} <= {
        (each["kind"], each["name"]) for each in items(tidings, "topology", "plan")
    }
    assert (2, 2) == tuple(tidings.command("topology", verb).returncode for verb in ("plan", "drift"))
    done = tidings.command("topology", "apply", "--yes", "--delete-orphans")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "stray" not in tidings.command("topology", "plan").stdout


def _the_consumer_leaves(tidings: Installation) -> None:
    """Its queue is full of events when it goes, and the program that works on that is killed."""
    with tidings.client() as client:
        for number in range(USERS):
            client.request(
                "POST", "/users", json.dumps({"name": "Ada", "email": f"ada{number}@example.com"}),
                {"content-type": "application/json"},
            )  # fmt: skip
            answer = client.getresponse()
            answer.read()
            assert 201 == answer.status
    arguments = ("retire", NAME, "--to-dead-letters", "--yes", "--no-wait", "--why", "a test", "--json")
    begun = tidings.command("consumers", *arguments)
    assert 0 == begun.returncode, begun.stderr
    os.kill(tidings.process("consumers")["pid"], signal.SIGKILL)
    tidings.await_ready()
    operation = json.loads(begun.stdout)["id"]
    ended = tidings.command("operations", "show", operation, "--wait", "--json")
    assert (0, "done") == (ended.returncode, json.loads(ended.stdout)["state"]), ended.stdout + ended.stderr
    letters = items(tidings, "dead", "list", "--consumer", NAME, "--limit", "1000")
    assert (set(tidings.users().values()), {"retired"}) == (
        {each["event_id"] for each in letters}, {each["reason"] for each in letters},
    )  # fmt: skip
    assert NAME not in {each["name"] for each in items(tidings, "consumers", "list")}
