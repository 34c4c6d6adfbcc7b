"""A cluster of three nodes whose leader is killed, frozen and cut off under load: a delay, and no event."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Self

import pytest

from infra.local.node import Node
from tests import roots
from tests.cluster import Cluster
from tests.conftest import failing_in_one_line
from tests.installation import Installation, ask
from tests.waiting import until

pytestmark = pytest.mark.system
#: Registrations per second, and seconds of load before the fault and after it.
RATE, BEFORE, AFTER = 40, 3, 5
#: Seconds after the end of a fault within which everything must be done.
RECOVERY = 30


@dataclass(frozen=True)
class Fault:
    """What befalls the node that leads the queues and that the programs are connected to."""

    happen: Callable[[Cluster, Node], AbstractContextManager[None]]
    #: Seconds that it lasts.
    seconds: float
    #: Seconds within which mails must go out again, whether it is over or not.
    silence: float


FAULTS = {
    "killed": Fault(Cluster.killed, seconds=8, silence=8),
    "frozen": Fault(Cluster.frozen, seconds=20, silence=30),
    # Longer than the missed heartbeats take, by which the consumers learn of it.
    "cut off": Fault(Cluster.cut_off, seconds=40, silence=38),
}


@pytest.fixture(scope="module", params=["4.x"])
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes of the newer RabbitMQ."""
    first_port = 28_000 + os.getpid() % 25 * 80  # beyond those of the sessions' single nodes
    with failing_in_one_line():
        made = Cluster(tmp_path_factory.mktemp("cluster"), first_port, roots.root())
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def tidings(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The programs, told of all three."""
    installation = Installation(tmp_path_factory.mktemp("on-a-cluster"), RABBITMQ_URL=cluster.amqp)
    try:
        installation.up()
        yield installation
    finally:
        installation.down()


class Load:
    """Registers people at a steady rate, and looks how far their mails have got."""

    def __init__(self, installation: Installation, prefix: str) -> None:
        self.accepted: dict[str, str] = {}
        self.refused: list[object] = []
        #: Longest time without a new mail, in seconds.
        self.longest_silence = 0.0
        self._installation = installation
        self._prefix = prefix
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._register, self._watch)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, seconds: float) -> None:
        """Let it work for so long."""
        self._stop.wait(seconds)

    def _register(self) -> None:
        with self._installation.client() as client:
            number = 0
            while not self._stop.wait(1 / RATE):
                number += 1
                email = f"{self._prefix}{number}@example.com"
                try:
                    status, answer = ask(client, "POST", "/users", {"name": "Ada", "email": email})
                except (OSError, HTTPException) as error:
                    client.close()
                    status, answer = 0, repr(error)
                if status == 201:
                    self.accepted[email] = answer["event_id"]
                else:
                    self.refused.append((status, answer))

    def _watch(self) -> None:
        seen, since = 0, time.monotonic()
        while not self._stop.wait(0.1):
            if (count := len(self._installation.mails())) > seen:
                seen, since = count, time.monotonic()
            self.longest_silence = max(self.longest_silence, time.monotonic() - since)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FAULTS)
def test_the_loss_of_the_leader_costs_a_delay_and_no_event(
    cluster: Cluster, tidings: Installation, name: str, record_property: Callable[[str, object], None]
) -> None:
    assert 3 == len(cluster.api.call("GET", "queues/tidings/welcome-email")["members"])
    fault, victim = FAULTS[name], cluster.host("welcome-email")
    cluster.lead(victim, "welcome-email", "activity-log")
    with Load(tidings, f"{name.replace(' ', '-')}-") as load:
        load.go_on(BEFORE)
        with fault.happen(cluster, victim):
            load.go_on(fault.seconds)
        healed = time.monotonic()
        load.go_on(AFTER)

    assert [] == load.refused
    until(lambda: load.accepted.keys() <= set(tidings.mails()), seconds=2 * RECOVERY, what="all mails")
    until(lambda: set(load.accepted.values()) <= set(tidings.activity()), seconds=RECOVERY, what="all activity rows")
    recovery = time.monotonic() - healed
    record_property("seconds without a mail", round(load.longest_silence, 1))
    record_property("seconds to recover", round(recovery, 1))
    assert recovery < RECOVERY
    assert load.longest_silence < fault.silence
    assert_each_once(tidings, load)
    until(cluster.is_whole, seconds=60, what="the whole cluster")


def assert_each_once(tidings: Installation, load: Load) -> None:
    """Nothing lost, nothing twice, and nothing that nobody asked for."""
    users = tidings.users()
    assert load.accepted == {email: users.get(email) for email in load.accepted}
    lines, mails = Counter(tidings.activity()), Counter(tidings.mails())
    assert (set(users.values()), {1}) == (set(lines), set(lines.values()))
    assert (set(users), {1}) == (set(mails), set(mails.values()))
