"""What was due while no scheduler was there: each policy on both databases, one decision for all replicas."""

from datetime import UTC, datetime, timedelta
from itertools import count
from queue import SimpleQueue
from threading import Barrier, Thread
from typing import Any

import pytest

from events.envelope import Event
from infra.database import schedule_runs, schedules
from infra.database.engine import Database
from infra.database.schedule_runs import BACKFILL
from infra.schedules import overlap
from infra.schedules.triggers import Cron, Daily, Every
from scheduler.catching_up import SLICE, CatchingUp, survey
from scheduler.following import Following
from scheduler.timetable import Schedule
from tests.scheduler.replicas import (
    SECOND,
    START,
    Replica,
    announced,
    declare,
    fired,
    gaps,
    runs,
    ticking,
)


def spans(database: Database) -> list[tuple[float, float, int, int, str]]:
    def after(moment: datetime) -> float:
        return (moment - START).total_seconds()

    return [(after(gap.first_due_at), after(gap.last_due_at), gap.due, gap.fired, gap.policy) for gap in gaps(database)]


def stopped_from_2_to_100(database: Database, **policy: Any) -> Schedule:
    """Two replicas that come back at the same time, one after the other."""
    schedule = ticking(**policy)
    declare(database, schedule)
    Replica(database, schedule).at(2)
    for replica in (Replica(database, schedule), Replica(database, schedule)):
        replica.at(100.5)
        replica.at(101)
    return schedule


def test_skip_announces_only_what_is_a_little_late(database: Database) -> None:
    stopped_from_2_to_100(database, missed="skip")
    assert [1, 2, *range(91, 102)] == fired(database)
    assert [(3, 90, 88, 0, "skip")] == spans(database)
    (marker,) = [run for run in runs(database) if run.state == "skipped"]
    assert (START + 90 * SECOND, "missed") == (marker.due_at, marker.kind)


def test_latest_announces_the_last_due_time_once_for_the_whole_gap(database: Database) -> None:
    stopped_from_2_to_100(database, missed="latest")
    assert [1, 2, 100, 101] == fired(database)
    assert [(3, 100, 98, 1, "latest")] == spans(database)
    assert ["due", "due", "missed", "due"] == [run.kind for run in runs(database)]


def test_all_announces_each_of_them(database: Database) -> None:
    stopped_from_2_to_100(database, missed="all")
    assert [*range(1, 102)] == fired(database)
    assert [(3, 100, 98, 98, "all")] == spans(database)


def test_all_announces_not_more_than_the_newest_of_its_limit(database: Database) -> None:
    stopped_from_2_to_100(database, missed="all", missed_limit=5)
    assert [1, 2, 96, 97, 98, 99, 100, 101] == fired(database)
    assert [(3, 100, 98, 5, "all")] == spans(database)


@pytest.mark.parametrize("missed", ["skip", "latest", "all"])
def test_a_gap_is_found_once_however_often_a_replica_starts(sqlite_database: Database, missed: str) -> None:
    """Though nothing more is due: the ledger tells that it was decided."""
    schedule = ticking(trigger=Every(every="1h"), missed=missed)
    declare(sqlite_database, schedule)
    for _ in range(3):
        Replica(sqlite_database, schedule).at(2 * 3600 + 60)
    assert 1 == len(gaps(sqlite_database))


def test_a_gap_of_which_much_is_announced_is_worked_off_in_slices(sqlite_database: Database) -> None:
    """Each is a transaction of its own and a row of its own, and together they say what became of the gap."""
    schedule = ticking(missed="all", missed_limit=2 * SLICE + 100)
    declare(sqlite_database, schedule)
    Replica(sqlite_database, schedule).at(5000)
    limit = 2 * SLICE + 100
    dropped = 5000 - limit
    assert [*range(dropped + 1, 5001)] == fired(sqlite_database)
    assert [
        (1, dropped + SLICE, dropped + SLICE, SLICE, "all"),
        (dropped + SLICE + 1, dropped + 2 * SLICE, SLICE, SLICE, "all"),
        (dropped + 2 * SLICE + 1, 5000, 100, 100, "all"),
    ] == spans(sqlite_database)


def test_what_was_never_due_before_is_no_gap(sqlite_database: Database) -> None:
    declare(sqlite_database, ticking())
    Replica(sqlite_database, ticking()).at(5)
    assert [] == gaps(sqlite_database)


def test_a_replica_that_stood_still_leaves_alone_what_another_announced(database: Database) -> None:
    declare(database, ticking())
    still, running = Replica(database, ticking()), Replica(database, ticking())
    still.at(1)
    for second in range(1, 61):
        running.at(second)
    still.at(60)
    assert [*range(1, 61)] == fired(database)
    assert [] == gaps(database)


def test_two_replicas_that_find_a_gap_at_the_same_moment_decide_it_once(database: Database) -> None:
    schedule = ticking(missed="all", missed_limit=20)
    declare(database, schedule)
    together = Barrier(2)

    def come_back() -> None:
        replica = Replica(database, schedule)
        together.wait(10)
        replica.at(60)

    threads = [Thread(target=come_back) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [*range(41, 61)] == fired(database)
    assert [(1, 60, 60, 20, "all")] == spans(database)


def test_one_whose_gap_has_no_end_keeps_no_other_waiting(sqlite_database: Database) -> None:
    """So it is on a machine that is slower with a gap than the next due time is with being missed."""
    timetable = ticking("endless", missed="skip"), ticking("other", trigger=Every(every="1h"), missed="latest")
    declare(sqlite_database, *timetable)
    later = count(3700, 20)
    done = SimpleQueue[str]()
    catching_up = CatchingUp(
        sqlite_database, overlap.hindrance, clock=lambda: START + next(later) * SECOND, done=done.put
    )
    following = Following(sqlite_database, timetable)
    following.look(START)
    for name in ("endless", "other"):
        catching_up.put(following.lines[name])
    catching_up.start()
    assert "other" == done.get(timeout=60)
    catching_up.stop(60)


def test_a_schedule_that_is_paused_meanwhile_announces_nothing_of_the_gap(database: Database) -> None:
    declare(database, ticking())
    replica = Replica(database, ticking())
    replica.at(1)
    database.run(lambda session: schedules.pause(session, "tick", "ada", "why"))
    replica.now = START + 60 * SECOND
    replica._deciding.decide(replica.following.lines.values(), replica.now)
    assert ([1], []) == (fired(database), gaps(database))


def test_what_an_operator_ordered_of_the_gap_is_not_announced_twice(database: Database) -> None:
    """Not even the last due time of it, whose row tells that the gap was decided."""
    declare(database, ticking())
    dues = [START + 60 * SECOND]
    database.run(lambda session: schedule_runs.order(session, "tick", dues, BACKFILL))
    for _ in range(2):
        Replica(database, ticking()).at(60)
    assert [] == announced(database)
    assert [(1, 60, 60, 0, "latest")] == spans(database)


def test_a_missed_due_time_that_is_ordered_later_is_no_new_gap(database: Database) -> None:
    """What an operator backfills had been decided, and stays so."""
    schedule = ticking(missed="skip", trigger=Every(every="1m"))
    declare(database, schedule)
    Replica(database, schedule).at(90)
    missed = START + 60 * SECOND
    assert [missed] == database.run(lambda session: schedule_runs.order(session, "tick", [missed], BACKFILL))
    Replica(database, schedule).at(91)
    assert [(60, 60, 1, 0, "skip")] == spans(database)


def test_a_function_that_fails_for_one_due_time_of_a_gap_leaves_that_out(sqlite_database: Database) -> None:
    def announce(due: datetime) -> Event:
        if due == START + 30 * SECOND:
            raise LookupError
        return ticking().announce(due)

    schedule = ticking(missed="all", announce=announce)
    declare(sqlite_database, schedule)
    Replica(sqlite_database, schedule).at(60)
    assert [each for each in range(1, 61) if each != 30] == fired(sqlite_database)
    assert [(1, 60, 60, 59, "all")] == spans(sqlite_database)


def test_a_clock_that_was_ahead_and_is_set_right_announces_nothing_twice(database: Database) -> None:
    """An hour forward, where the policy decides the hour, and back."""
    declare(database, ticking())
    replica = Replica(database, ticking())
    replica.at(1)
    replica.at(3601)
    replica.following.forget()  # as the engine does when it sees the step
    for second in (2, 3):
        replica.at(second)
    replica.following.forget()
    replica.at(3602)
    assert [1, 3601, 2, 3, 3602] == fired(database)
    assert [1] == [gap.fired for gap in gaps(database)]


@pytest.mark.parametrize("late", [9.9, 10.0])
def test_ten_seconds_make_the_difference_between_late_and_missed(late: float) -> None:
    row = ticking().definition
    gap = survey(Every(every="1m"), row, START, START + timedelta(seconds=60 + late))  # type: ignore[arg-type]
    assert (late >= 10) == (gap is not None)


@pytest.mark.parametrize(
    "trigger", [Cron(cron="30 2 * * *", zone="Europe/Berlin"), Daily(daily="02:30", zone="Europe/Berlin")]
)
def test_a_gap_over_the_change_of_the_clocks_has_each_day_once(trigger: Cron | Daily) -> None:
    """On 28 March 2027 there is no 02:30, on 31 October 2027 there are two."""
    row = ticking(missed="all").definition
    for month in (3, 10):
        after, upto = datetime(2027, month, 20, 12, tzinfo=UTC), datetime(2027, month + 1, 5, 12, tzinfo=UTC)
        gap = survey(trigger, row, after, upto)  # type: ignore[arg-type]
        assert gap is not None
        assert (upto - after).days == gap.due == len(gap.fires)
