"""What operators order is announced once, by any replica, and the operation of a backfill tells how far it is."""

from datetime import datetime, timedelta
from typing import Any

from infra.database import operations, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.schedule_runs import BACKFILL, MANUAL
from infra.database.schedules import Definition
from scheduler.orders import MOST, Orders
from scheduler.timetable import Schedule
from tests.scheduler.replicas import (
    SECOND,
    START,
    Replica,
    announced,
    backfill,
    declare,
    fired,
    operation,
    runs,
    ticking,
)

#: Long before the schedule counts.
PAST = START - timedelta(days=1)


def looking(database: Database, *timetable: Schedule) -> Orders:
    """What a replica has that follows the table."""
    replica = Replica(database, *timetable)
    replica.following.look(START)
    return Orders(database, replica.following)


def cancelled(database: Database, name: str) -> list[str | None]:
    return [run.note for run in runs(database, name) if run.state == "cancelled"]


def past(number: int) -> list[datetime]:
    return [PAST + each * SECOND for each in range(number)]


def test_a_backfill_is_announced_in_bounded_steps_from_the_oldest_on_and_ends(database: Database) -> None:
    declare(database, ticking())
    orders, dues = looking(database, ticking()), past(MOST + 20)
    operation_id = backfill(database, dues)
    orders.look()
    begun = operation(database, operation_id)
    assert (MOST, "running", "20 to be announced") == (begun.sent, begun.state, begun.message)
    orders.look()
    ended = operation(database, operation_id)
    assert (MOST + 20, MOST + 20, 0, "done") == (ended.sent, ended.handled, ended.failed, ended.state)
    assert dues == [envelope.time for envelope in announced(database)]
    assert {(BACKFILL, "fired")} == {(run.kind, run.state) for run in runs(database)}


def test_several_replicas_announce_each_order_once(database: Database) -> None:
    declare(database, ticking())
    replicas = [looking(database, ticking()) for _ in range(3)]
    operation_id = backfill(database, past(150))
    for _ in range(2):
        for orders in replicas:
            orders.look()
    assert 150 == len(announced(database))
    assert (150, "done") == (operation(database, operation_id).sent, operation(database, operation_id).state)


def test_a_backfill_that_is_stopped_gives_up_the_rest(database: Database) -> None:
    declare(database, ticking())
    orders = looking(database, ticking())
    operation_id = backfill(database, past(MOST + 20))
    orders.look()
    database.run(lambda session: operations.ask_to_stop(session, operation_id))
    orders.look()
    stopped = operation(database, operation_id)
    assert (MOST, "stopped") == (stopped.sent, stopped.state)
    assert f"stopped by an operator; {MOST} announced, 20 given up" == stopped.message
    assert 20 == len(cancelled(database, "tick"))
    assert MOST == len(announced(database))


def test_a_manual_run_comes_before_a_long_backfill_though_the_schedule_is_paused(database: Database) -> None:
    declare(database, ticking())
    database.run(lambda session: schedules.pause(session, "tick", "ada", "why"))
    orders = looking(database, ticking())
    backfill(database, past(MOST * 2))
    now = START + 77 * SECOND
    database.run(lambda session: schedule_runs.order(session, "tick", [now], MANUAL, note="ada: try"))
    orders.look()
    assert now in [envelope.time for envelope in announced(database)]


def test_an_order_is_no_due_time_of_the_schedule(database: Database) -> None:
    """A replica that starts after it still announces what was due before."""
    declare(database, ticking())
    database.run(lambda session: schedule_runs.order(session, "tick", [START + 2.5 * SECOND], MANUAL))
    looking(database, ticking()).look()
    Replica(database, ticking()).at(3)
    assert [2.5, 1, 2, 3] == fired(database)


def test_an_order_whose_schedule_is_gone_is_given_up_with_a_note_and_its_operation_ends(database: Database) -> None:
    declare(database, ticking(), ticking("old"))
    declare(database, ticking())
    database.run(lambda session: schedule_runs.order(session, "never", [PAST], MANUAL))
    operation_id = backfill(database, past(2), "old")
    looking(database, ticking()).look()
    assert ["The schedule was removed."] == cancelled(database, "never")
    assert 2 == len(cancelled(database, "old"))
    ended = operation(database, operation_id)
    assert (0, 2, "done", "0 announced, 2 could not be") == (ended.sent, ended.failed, ended.state, ended.message)


def test_an_order_that_cannot_be_announced_keeps_no_other_waiting(sqlite_database: Database) -> None:
    def broken(due: datetime) -> Any:
        raise LookupError(f"secret of {due}")

    timetable = ticking(announce=broken), ticking("other")
    declare(sqlite_database, *timetable)
    for name in ("tick", "other"):
        database_order(sqlite_database, name)
    looking(sqlite_database, *timetable).look()
    (note,) = cancelled(sqlite_database, "tick")
    assert note is not None
    assert "LookupError" in note
    assert "secret" not in note
    assert 1 == len(announced(sqlite_database))


def test_an_order_for_what_only_another_version_knows_waits_for_that(sqlite_database: Database) -> None:
    declare(sqlite_database, ticking("newer"))
    database_order(sqlite_database, "newer")
    looking(sqlite_database, ticking()).look()
    assert ["ordered"] == [run.state for run in runs(sqlite_database, "newer")]
    looking(sqlite_database, ticking("newer")).look()
    assert ["fired"] == [run.state for run in runs(sqlite_database, "newer")]


def test_an_order_for_an_operators_schedule_that_cannot_run_is_given_up(sqlite_database: Database) -> None:
    unknown = Definition(name="unknown", trigger={"every": "1s"}, type="never.heard")
    sqlite_database.run(lambda session: schedules.add(session, unknown))
    database_order(sqlite_database, "unknown")
    looking(sqlite_database).look()
    (note,) = cancelled(sqlite_database, "unknown")
    assert note is not None
    assert note.startswith("Its event cannot be made")


def database_order(database: Database, name: str) -> None:
    database.run(lambda session: schedule_runs.order(session, name, [PAST], MANUAL))
