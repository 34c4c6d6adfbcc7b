"""A consumer leaves a Tidings that is killed meanwhile; the broker is compared with what is wanted, and put right."""

import http.client
import json
import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.local.readiness import _credentials
from tests.installation import Installation
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
USERS = 300


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
    with_module = Installation(tmp_path, CONSUMER_PACKAGES="tests.system.later")
    with_module.up()
    refused = with_module.command("consumers", "retire", "follow-up-planner", "--drain", "--yes", "--why", "a test")
    assert (1, True) == (refused.returncode, "still subscribes follow-up-planner" in refused.stderr)
    with_module.down()

    tidings = Installation(tmp_path)
    tidings.up()
    try:
        _the_topology_is_put_right(tidings)
        _the_consumer_leaves(tidings)
        assert 0 == tidings.command("topology", "plan").returncode
    finally:
        tidings.down()


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
    arguments = ("retire", "follow-up-planner", "--to-dead-letters", "--yes", "--no-wait", "--why", "a test", "--json")
    begun = tidings.command("consumers", *arguments)
    assert 0 == begun.returncode, begun.stderr
    os.kill(tidings.process("consumers")["pid"], signal.SIGKILL)
    tidings.await_ready()
    operation = json.loads(begun.stdout)["id"]
    ended = tidings.command("operations", "show", operation, "--wait", "--json")
    assert (0, "done") == (ended.returncode, json.loads(ended.stdout)["state"]), ended.stdout + ended.stderr
    letters = items(tidings, "dead", "list", "--consumer", "follow-up-planner", "--limit", "1000")
    assert (set(tidings.users().values()), {"retired"}) == (
        {each["event_id"] for each in letters}, {each["reason"] for each in letters},
    )  # fmt: skip
    assert "follow-up-planner" not in {each["name"] for each in items(tidings, "consumers", "list")}
