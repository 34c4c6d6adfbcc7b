"""The events' road under everything that may happen to it, in any order: nothing lost, nothing twice, no phantom.

`TIDINGS_SEARCH=1` searches for minutes instead of seconds.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from infra.database.engine import Database
from tests.model.machine import Machine
from tests.model.ordered import OrderedRoad, OrderedWorld
from tests.model.road import Road
from tests.model.world import RECORDED_LATER, SUBJECTS
from tests.postgres import Postgres


def search(road: type[Machine], fresh: Callable[[Path], str], examples: int) -> None:
    """Look for a way in which something does not hold."""
    road.fresh = staticmethod(fresh)
    thorough = bool(os.environ.get("TIDINGS_SEARCH"))
    profile = settings(
        max_examples=examples * 12 if thorough else examples,
        stateful_step_count=60 if thorough else 30,
        derandomize=not thorough,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(road, settings=profile)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("road", "examples"), [(Road, 150), (OrderedRoad, 60)])
def test_nothing_is_lost_and_nothing_happens_twice_whatever_happens(
    sqlite_template: Path, road: type[Road], examples: int
) -> None:
    def fresh(folder: Path) -> str:
        return f"sqlite:///{shutil.copyfile(sqlite_template, folder / 'tidings.db')}"

    search(road, fresh, examples)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("road", "examples"), [(Road, 15), (OrderedRoad, 8)])
def test_the_same_on_postgresql(postgres: Postgres, postgres_template: str, road: type[Road], examples: int) -> None:
    def fresh(folder: Path) -> str:
        return postgres.create(folder.name.replace("-", "_"), postgres_template)

    search(road, fresh, examples)


def test_who_has_to_wait_again_before_the_relay_wrote_down_that_it_was_sent_is_sent_again(database: Database) -> None:
    """A search hardly ever finds it: three of one subject, the last one first, and a relay that is slow to record."""
    world = OrderedWorld(database)
    for _ in range(3):
        world.register(SUBJECTS[0])
    world.relay(3)
    world.deliver_backwards()
    world.resend(2, RECORDED_LATER)
    world.deliver_backwards()
    world.record()
    assert set(world.registered[str(SUBJECTS[0])][2:]) == {event for event, _ in world.seen.resends}
