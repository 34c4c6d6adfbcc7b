"""An ordered consumer in two worker processes, killed at random, on the real broker: each subject keeps its order."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.brokers import BrokerApi
from tests.system.ordered.consumers.ledger import CONSUMER, DIES, LINGERS, STUMBLES
from tests.system.ordered.workers import Workers
from tests.waiting import until

pytestmark = pytest.mark.system
#: Far from the ports of the other tests' programs.
_PORT = 25000 + os.getpid() % 400 * 2
SUBJECTS, STEPS, KILLS = 10, 24, 4
#: Where the workers of the first two starts die by themselves, unless they are killed before.
FAULTS = ["ordering.after-waiting", "ordering.before-wake"]
#: Seconds: retries wait 5, and a start on a busy machine takes its time.
DRAIN = 120.0
#: Each kind of database once, and each generation of the broker.
PLACES = {"sqlite": ("sqlite_url", "installed_rabbitmq"), "postgresql": ("postgres_url", "newer_rabbitmq")}


@pytest.fixture(params=PLACES)
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workers]:
    url, node = (request.getfixturevalue(each) for each in PLACES[request.param])
    made = Workers(tmp_path, url, BrokerApi(node), _PORT)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_each_subject_is_handled_in_its_order_however_often_workers_die(workers: Workers) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    subjects = [uuid4() for _ in range(SUBJECTS)]
    kinds = ["is fine"] * 12 + [LINGERS] * 3 + [STUMBLES, DIES]
    left: dict[str, list[int]] = {str(each): [] for each in subjects}
    dead = set()
    faults = [f"{name}@{CONSUMER}:5:exit" for name in FAULTS]
    workers.program.start(fault=faults[0])
    with workers.relaying():
        for number in range(STEPS):
            for subject in subjects:
                kind = chance.choice(kinds)
                event = workers.announce(subject, f"{number} {kind}")
                (dead.add(event) if kind == DIES else left[str(subject)].append(number))
            if number % (STEPS // KILLS) == STEPS // KILLS - 1:
                so_far = sum(workers.ended().values())
                until(
                    lambda: sum(workers.ended().values()) >= so_far + 5 or not workers.program.is_running,  # noqa: B023
                    seconds=60,
                    what="some progress, or the end of the program",
                )
                faults = faults[1:]
                workers.kill_one(chance, **({"fault": faults[0]} if faults else {}))
        workers.program.await_ready()
        until(
            lambda: sum(workers.ended().values()) == SUBJECTS * STEPS and workers.is_settled(),
            seconds=DRAIN,
            what=f"the end of all (seed {seed})",
        )
        until(lambda: dead == set(workers.letters()), seconds=20, what="the dead letters")
    sys.stderr.write(f"seed {seed}: {workers.ended()}\n")
    assert left == workers.numbers(), seed
    assert dead == set(workers.letters())
