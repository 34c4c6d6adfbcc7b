"""How long a registration takes to its mail, without jobs and beside two that keep two cores busy, in turns."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles

from tests.installation import Installation, ask
from tests.mailbox import Mailbox
from tests.waiting import until

#: Jobs, each of which keeps a core busy.
JOBS = 2


@dataclass
class Latencies:
    """Seconds from `POST /users` to the mail in the sink."""

    calm: list[float] = field(default_factory=list)
    #: While the jobs are at work.
    busy: list[float] = field(default_factory=list)

    def __add__(self, other: "Latencies") -> "Latencies":
        return Latencies(self.calm + other.calm, self.busy + other.busy)

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return median(self.busy) / median(self.calm)

    def __str__(self) -> str:
        both = {"calm": self.calm, "beside jobs": self.busy}
        said = [
            f"{name}: p50 {median(them) * 1e3:.1f} ms, p95 {quantiles(them, n=20)[-1] * 1e3:.1f} ms"
            for name, them in both.items()
        ]
        return f"{', '.join(said)}, ratio of the medians {self.ratio:.2f}"


def measure(installation: Installation, mailbox: Mailbox, *, rounds: int, samples: int) -> Latencies:
    """In turns, so that whatever else keeps the machine busy meets both."""
    found = Latencies()
    _mails(installation, mailbox, samples)
    for _ in range(rounds):
        found.calm += _mails(installation, mailbox, samples)
        with grinding(installation):
            found.busy += _mails(installation, mailbox, samples)
    return found


@contextmanager
def grinding(installation: Installation) -> Iterator[list[str]]:
    """Meanwhile the jobs are at work; gives their ids."""
    jobs = [start(installation) for _ in range(JOBS)]
    until(lambda: {state(installation, each) for each in jobs} == {"running"}, seconds=60, what="the jobs")
    yield jobs
    for each in jobs:
        installation.ask("DELETE", f"/jobs/{each}")
    until(lambda: {state(installation, each) for each in jobs} == {"cancelled"}, seconds=60, what="their end")


def start(installation: Installation) -> str:
    """Ask for such a job; gives its id."""
    status, job = installation.ask("POST", "/jobs", {"kind": "grind", "parameters": {}})
    assert status == 202, job
    return str(job["id"])


def state(installation: Installation, job_id: str) -> str:
    """Of a job."""
    return str(installation.ask("GET", f"/jobs/{job_id}")[1]["state"])


def _mails(installation: Installation, mailbox: Mailbox, count: int) -> list[float]:
    with installation.client() as client:
        seconds = []
        for number in range(count):
            mailbox.clear()
            began = time.time()
            body = {"name": "Ada", "email": f"ada-{began:.6f}-{number}@example.com"}
            status, answer = ask(client, "POST", "/users", body)
            assert status == 201, answer
            until(lambda: mailbox.log, seconds=60, what="the mail")
            seconds.append(mailbox.log[0].at - began)
        return seconds
