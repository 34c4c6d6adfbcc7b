"""Replicas that decide the same due times at the same moment wait for one another, and never in a circle."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from threading import Barrier, BrokenBarrierError

import pytest
from sqlmodel import Session

from infra.database.engine import Database
from infra.schedules import overlap
from scheduler.emitter import emit
from scheduler.lines import Line
from scheduler.ticks import Tick, announcing
from tests.scheduler.replicas import SECOND, START, Replica, announced, declare, ticking

NAMES = ("first", "second")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_schedules_that_must_not_overlap_are_locked_in_one_order_by_all(database: Database) -> None:
    timetable = [ticking(name, overlap="skip") for name in NAMES]
    declare(database, *timetable)
    replica = Replica(database, *timetable)
    replica.following.look(START)
    together = Barrier(2)

    def hindrance(session: Session, schedule: str, due: datetime) -> str | None:
        found = overlap.hindrance(session, schedule, due)
        with suppress(BrokenBarrierError):  # each of the two has its first lock by now, unless one waits for the other
            together.wait(0.5)
        return found

    def decide(names: Sequence[str]) -> list[Tick]:
        lines: list[Line] = [replica.following.lines[name] for name in names]
        with database.transaction() as session:
            return emit(session, [announcing(line, START + SECOND, "due") for line in lines], hindrance)

    with ThreadPoolExecutor(2) as pool:
        decided = [*pool.map(decide, [NAMES, NAMES[::-1]])]
    assert sorted(NAMES) == sorted(tick.schedule for each in decided for tick in each)
    assert 2 == len(announced(database))
