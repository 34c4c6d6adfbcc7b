"""The load of a drill: clients that register people at a steady pace and repeat, with the same key, until answered."""

import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from infra.local.ports import LOOPBACK
from tests.drill.consumers.faulty import POISON
from tests.installation import ask

#: Seconds that a client waits for an answer, and between two tries.
PATIENCE, PAUSE = 15.0, 0.2
#: Seconds that the load may be behind its pace before it gives up catching up.
ARREARS = 2.0


@dataclass(slots=True)
class Registration:
    """One person, from the first try to the answer."""

    number: int
    #: Index of the phase in which it was accepted, or else begun.
    phase: int
    is_poison: bool = False
    user_id: str = ""
    event_id: str = ""

    @property
    def email(self) -> str:
        """In lower case, as the witnesses see it."""
        return f"drill-{self.number}@example.com"

    @property
    def body(self) -> dict[str, str]:
        """What is posted."""
        return {"name": f"{POISON if self.is_poison else 'Person'} {self.number}", "email": self.email}


@dataclass(slots=True)
class Answers:
    """How the tries of one phase were answered."""

    #: HTTP status, or 0 for no answer -> tries.
    by_status: Counter[int] = field(default_factory=Counter)
    #: Longest wait for a 201, in seconds.
    slowest: float = 0.0

    @property
    def refused(self) -> int:
        """Tries that did not end in a 2xx."""
        return sum(count for status, count in self.by_status.items() if not 200 <= status < 300)


class Load:
    """`start`, set `phase` as the drill goes on, `stop`."""

    def __init__(self, port: int, *, rate: float, clients: int = 16) -> None:
        #: Index of the drill's phase.
        self.phase = 0
        #: Every so many registrations is one that a consumer never manages; 0 for none.
        self.poison_every = 0
        #: User id -> registration.
        self.accepted: dict[str, Registration] = {}
        #: E-mail -> registration without an answer so far.
        self.open: dict[str, Registration] = {}
        self.answers: dict[int, Answers] = {0: Answers()}
        self._port = port
        self._rate = rate
        self._lock = threading.Lock()
        self._number = 0
        self._due = 0.0
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._threads = [threading.Thread(target=self._client, name=f"client {n}", daemon=True) for n in range(clients)]

    def start(self) -> None:
        """Begin."""
        self._due = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 30.0) -> None:
        """Begin nothing new, and wait so long for the answers that are missing."""
        self._stopping.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._giving_up.set()

    def enter(self, phase: int) -> None:
        """From now on it is this phase."""
        self.answers[phase] = Answers()
        self.phase = phase

    def so_far(self) -> list[Registration]:
        """All that were accepted until now."""
        return list(self.accepted.values())

    def _client(self) -> None:
        with closing(HTTPConnection(LOOPBACK, self._port, timeout=PATIENCE)) as connection:
            while (registration := self._next()) is not None:
                self._insist(connection, registration)

    def _next(self) -> Registration | None:
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due + 1 / self._rate, now - ARREARS)
            due, self._number = self._due, self._number + 1
            poison = self.poison_every > 0 and self._number % self.poison_every == 0
            registration = Registration(self._number, self.phase, poison)
        if self._stopping.wait(max(0.0, due - now)):
            return None
        self.open[registration.email] = registration
        return registration

    def _insist(self, connection: HTTPConnection, registration: Registration) -> None:
        while not self._try(connection, registration):
            if self._giving_up.wait(PAUSE):
                return

    def _try(self, connection: HTTPConnection, registration: Registration) -> bool:
        began, phase = time.monotonic(), self.phase
        try:
            status, answer = ask(
                connection, "POST", "/users", registration.body, key=f"{registration.number}-{registration.email}"
            )
        except (OSError, HTTPException, ValueError):  # the last: an answer that was cut off
            connection.close()
            status, answer = 0, {}
        with self._lock:
            answers = self.answers[phase]
            answers.by_status[status] += 1
            if status != 201:
                return False
            answers.slowest = max(answers.slowest, time.monotonic() - began)
            registration.user_id, registration.event_id = answer["id"], answer["event_id"]
            registration.phase = self.phase
            self.accepted[registration.user_id] = registration
            del self.open[registration.email]
        return True
