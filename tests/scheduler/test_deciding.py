"""What is due is decided once, in time or a little late, whatever else goes wrong."""

import time
from datetime import datetime
from uuid import UUID

import pytest
import time_machine

from events.clock import HeartbeatTicked, due_id
from events.envelope import Event
from events.users import UserRegistered
from infra import metrics
from infra.database import schedules
from infra.database.engine import Database
from infra.database.schedules import Definition
from infra.errors import DatabaseUnavailable
from infra.schedules.triggers import Every
from scheduler import deciding
from scheduler.emitter import emit
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


def test_a_due_time_is_announced_once_by_however_many_replicas(database: Database) -> None:
    declare(database, ticking())
    for replica in [Replica(database, ticking()) for _ in range(3)]:
        replica.at(1)
    (envelope,) = announced(database)
    assert (due_id("tick", START + SECOND), START + SECOND, "/scheduler") == (
        envelope.id,
        envelope.time,
        envelope.source,
    )
    (run,) = runs(database)
    assert (START + SECOND, envelope.id, "due", "fired", None) == (
        run.due_at,
        run.event_id,
        run.kind,
        run.state,
        run.note,
    )


def test_a_replica_that_is_a_little_late_announces_all_of_it_and_records_how_late(database: Database) -> None:
    declare(database, ticking())
    replica = Replica(database, ticking())
    with time_machine.travel(START + 9.5 * SECOND, tick=False):
        replica.at(9.5)
    assert [1, 2, 3, 4, 5, 6, 7, 8, 9] == fired(database)
    assert [8.5, 7.5, 6.5] == [(run.fired_at - run.due_at).total_seconds() for run in runs(database)][:3]
    assert [] == gaps(database)


def test_several_schedules_are_announced_in_the_order_of_their_due_times(database: Database) -> None:
    timetable = ticking("slow", trigger=Every(every="2s")), ticking("fast")
    declare(database, *timetable)
    Replica(database, *timetable).at(4)
    assert [1, 2, 2, 3, 4, 4] == fired(database)


def test_a_replica_that_starts_goes_on_where_the_ledger_ends(database: Database) -> None:
    declare(database, ticking())
    Replica(database, ticking()).at(3)
    Replica(database, ticking()).at(5)
    assert [1, 2, 3, 4, 5] == fired(database)


def test_a_paused_schedule_announces_nothing_though_the_replica_has_not_heard_of_it(database: Database) -> None:
    declare(database, ticking())
    replica = Replica(database, ticking())
    replica.at(1)
    database.run(lambda session: schedules.pause(session, "tick", "ada", "too loud"))
    replica.now = START + 2 * SECOND
    replica._deciding.decide(replica.following.lines.values(), replica.now)
    assert [1] == fired(database)


def test_a_resumed_schedule_announces_what_is_due_from_then_on(database: Database) -> None:
    declare(database, ticking())
    replica = Replica(database, ticking())
    replica.at(1)
    database.run(lambda session: schedules.pause(session, "tick", "ada", "too loud"))
    replica.at(4)
    database.run(lambda session: schedules.resume(session, "tick", now=START + 4 * SECOND))
    replica.at(6)
    assert [1, 5, 6] == fired(database)


def test_a_schedule_that_the_code_has_no_more_fires_no_more(database: Database) -> None:
    declare(database, ticking(), ticking("old"))
    replica = Replica(database, ticking(), ticking("old"))
    replica.at(1)
    declare(database, ticking())
    replica.at(2)
    assert [1, 1, 2] == fired(database)
    assert 1 == len(runs(database, "old"))


def test_what_the_database_did_not_take_is_decided_later(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([True, True])

    def sometimes(*arguments: object) -> object:
        if next(refusals, False):
            raise DatabaseUnavailable("away")
        return emit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(deciding, "emit", sometimes)
    declare(sqlite_database, ticking())
    replica = Replica(sqlite_database, ticking())
    for second in (1, 2):
        with pytest.raises(DatabaseUnavailable):
            replica.at(second)
    replica.at(3)
    assert [1, 2, 3] == fired(sqlite_database)


def test_a_database_that_is_away_for_longer_than_the_grace_leaves_a_gap(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> object:
        raise DatabaseUnavailable("away")

    declare(sqlite_database, ticking())
    replica = Replica(sqlite_database, ticking())
    replica.at(1)
    with monkeypatch.context() as away:
        away.setattr(deciding, "emit", never)
        for second in range(2, 12):
            with pytest.raises(DatabaseUnavailable):
                replica.at(second)
    replica.at(30)
    replica.at(31)
    assert [1, 30, 31] == fired(sqlite_database)
    assert [(29, 1)] == [(gap.due, gap.fired) for gap in gaps(sqlite_database)]


class Broken:
    """A schedule whose function fails for some of its due times."""

    def __init__(self, *broken: int) -> None:
        self.broken = {START + each * SECOND for each in broken}
        self.asked: list[datetime] = []

    def __call__(self, due: datetime) -> Event:
        self.asked.append(due)
        if due in self.broken:
            raise LookupError(f"secret of {due}")
        return HeartbeatTicked(due_at=due)


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monotonic clock that makes an hour of each look, so that no further try has to be waited for."""
    ticks = iter(range(0, 10_000_000, 3600))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))


@pytest.mark.usefixtures("hours")
def test_a_due_time_whose_function_fails_is_tried_again_and_then_left_out_with_a_note(
    sqlite_database: Database,
) -> None:
    broken = Broken(2)
    timetable = ticking("other"), ticking(announce=broken)
    declare(sqlite_database, *timetable)
    replica = Replica(sqlite_database, *timetable)
    replica.at(1)
    for _ in range(4):
        replica.at(3)
    assert [1, 1, 2, 3] == fired(sqlite_database)  # the other schedule goes on
    replica.at(3)
    assert [1, 1, 2, 3, 3] == fired(sqlite_database)
    assert ["fired", "skipped", "fired"] == [run.state for run in runs(sqlite_database)]
    note = runs(sqlite_database)[1].note
    assert note is not None
    assert "LookupError" in note
    assert "secret" not in note


@pytest.mark.usefixtures("hours")
def test_a_schedule_that_stays_broken_is_left_out_at_once(sqlite_database: Database) -> None:
    broken = Broken(*range(2, 9))
    declare(sqlite_database, ticking(announce=broken))
    replica = Replica(sqlite_database, ticking(announce=broken))
    replica.at(1)
    replica.at(9, looks=6)
    assert [1, 9] == fired(sqlite_database)
    assert 7 == sum(run.state == "skipped" for run in runs(sqlite_database))


def test_a_try_that_failed_is_not_repeated_at_once(sqlite_database: Database) -> None:
    broken = Broken(1)
    declare(sqlite_database, ticking(announce=broken))
    Replica(sqlite_database, ticking(announce=broken)).at(1, looks=5)
    assert 1 == len(broken.asked)


@pytest.mark.usefixtures("hours")
def test_an_event_that_is_too_large_keeps_no_other_from_firing(sqlite_database: Database) -> None:
    def large(_: datetime) -> Event:
        return UserRegistered(user_id=UUID(due_id("x", START)), name="x" * 300_000, email="ada@example.com")

    timetable = ticking(), ticking("large", announce=large)
    declare(sqlite_database, *timetable)
    replica = Replica(sqlite_database, *timetable)
    replica.at(1)
    assert [1] == fired(sqlite_database)
    replica.at(2, looks=4)
    assert [1, 2] == fired(sqlite_database)
    assert ["skipped"] * 2 == [run.state for run in runs(sqlite_database, "large")]


def test_what_is_announced_is_counted_by_the_names_that_code_gave(sqlite_database: Database) -> None:
    """Operators may make any number of schedules, and each name would be a further series."""
    data = {"due_at": "2026-11-22T09:30:00Z"}
    theirs = Definition(name="theirs", trigger={"every": "1s"}, type="heartbeat.ticked", data=data)
    sqlite_database.run(lambda session: schedules.add(session, theirs))
    declare(sqlite_database, ticking("counted"))

    def counted() -> dict[str, float]:
        series = [sample for metric in metrics.SCHEDULE_FIRED.collect() for sample in metric.samples]
        due = [each for each in series if each.name.endswith("_total") and each.labels["kind"] == "due"]
        return {each.labels["schedule"]: each.value for each in due}

    before = counted()
    Replica(sqlite_database, ticking("counted")).at(3)
    assert {"counted": 3.0, "by operators": 3.0 + before.get("by operators", 0.0)} == {
        name: counted()[name] for name in ("counted", "by operators")
    }
    assert "theirs" not in counted()
