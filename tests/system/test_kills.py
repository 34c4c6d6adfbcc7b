"""`kill -9` of each program in the middle of 500 registrations: what was accepted is done, and nothing else is."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from itertools import count

import pytest

from tests.installation import Installation, ask
from tests.waiting import until

pytestmark = pytest.mark.system
REGISTRATIONS = 500
#: How many of them are answered before the kill.
BEFORE = 200
CLIENTS = 8


class Load:
    """Clients that register people and, like good clients, repeat a request that got no answer with the same key."""

    def __init__(self, installation: Installation, prefix: str) -> None:
        self.accepted: dict[str, str] = {}
        self._installation = installation
        self._prefix = prefix
        self._numbers = count()
        self._reached = threading.Event()

    def run(self, at_two_fifths: threading.Thread) -> None:
        """Post them all; starts the thread when `BEFORE` are answered."""
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            clients = [pool.submit(self._client) for _ in range(CLIENTS)]
            assert self._reached.wait(60)
            at_two_fifths.start()
            for client in clients:
                client.result(120)
        at_two_fifths.join()

    def _client(self) -> None:
        with self._installation.client() as connection:
            for number in self._mine():
                email = f"{self._prefix}{number}@example.com"
                self.accepted[email] = self._insist(connection, {"name": f"Nr. {number}", "email": email})
                if len(self.accepted) >= BEFORE:
                    self._reached.set()

    def _mine(self) -> Iterator[int]:
        while (number := next(self._numbers)) < REGISTRATIONS:
            yield number

    def _insist(self, connection: HTTPConnection, body: dict[str, str]) -> str:
        event_id = until(lambda: self._try(connection, body), seconds=60, what=f"an answer for {body['email']}")
        assert event_id is not None
        return event_id

    def _try(self, connection: HTTPConnection, body: dict[str, str]) -> str | None:
        try:
            status, answer = ask(connection, "POST", "/users", body, key=body["email"])
        except (OSError, HTTPException):
            connection.close()
            return None
        assert status in (201, 503), answer
        return str(answer["event_id"]) if status == 201 else None


def kill(installation: Installation, name: str) -> threading.Thread:
    pid = int(installation.process(name)["pid"])
    return threading.Thread(target=os.kill, args=(pid, signal.SIGKILL))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["gateway", "consumers", "scheduler", "rabbitmq"])
def test_nothing_accepted_is_lost_and_nothing_happens_twice(installation: Installation, name: str) -> None:
    before = set(installation.activity()) - set(installation.users().values())  # events that other tests published
    mailed = set(installation.mails()) - set(installation.users())
    restarts = installation.process(name)["restarts"]
    load = Load(installation, f"{name}-")
    load.run(kill(installation, name))
    installation.await_ready()
    assert restarts + 1 == installation.process(name)["restarts"]

    users = {email: event for email, event in installation.users().items() if email in load.accepted}
    assert load.accepted == users  # each accepted one is there, under the event that the client was told
    until(lambda: set(users.values()) <= set(installation.activity()), seconds=90, what="all activity rows")
    until(lambda: set(users) <= set(installation.mails()), seconds=90, what="all mails")
    lines = Counter(installation.activity())
    assert {1} == set(lines.values())
    assert set(lines) - before == set(installation.users().values())  # no phantom
    assert set(installation.mails()) - mailed == set(installation.users())
