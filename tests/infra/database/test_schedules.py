"""The stores of the timetable, the ledger and the gaps: the same rules on both databases."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from events.clock import due_id
from infra.database import ledger, operations, schedule_gaps, schedule_runs, schedules, silences
from infra.database.engine import Database
from infra.database.schedule_gaps import MISSED, PAUSED
from infra.database.schedule_runs import BACKFILL, MANUAL, Claim
from infra.database.schedule_tables import Schedule
from infra.database.schedules import CODE, OPERATOR, Declared, Definition, Filter
from infra.database.tables import ScheduleRun, table

#: After every `counts_from` of these tests.
DUE = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
SECOND = timedelta(seconds=1)


def definition(name: str = "tick", **changes: Any) -> Definition:
    values: dict[str, Any] = {"name": name, "trigger": {"every": "1s"}, "type": "heartbeat.ticked"}
    return Definition(**(values | changes))


def declare(database: Database, *definitions: Definition) -> Declared:
    return database.run(lambda session: schedules.declare(session, definitions))


def row(database: Database, name: str = "tick") -> Schedule:
    with database.reading() as session:
        found = schedules.find(session, name)
    assert found is not None
    return found


def stamp(database: Database) -> tuple[int, int]:
    with database.reading() as session:
        return schedules.stamp(session)


def claim_of(due: datetime = DUE, name: str = "tick", **changes: Any) -> Claim:
    return Claim(schedule=name, due_at=due, event_id=due_id(name, due), **changes)


def claim(database: Database, *claims: Claim) -> list[tuple[str, datetime]]:
    return sorted(database.run(lambda session: schedule_runs.claim(session, claims)))


def order(database: Database, *dues: datetime, kind: str = BACKFILL, **changes: Any) -> list[datetime]:
    return database.run(lambda session: schedule_runs.order(session, "tick", dues, kind, **changes))


def orders(database: Database, limit: int = 10) -> list[tuple[str, datetime]]:
    with database.reading() as session:
        return [(run.kind, run.due_at) for run in schedule_runs.orders(session, limit)]


def test_a_timetable_is_written_down_once_and_again_changes_nothing(database: Database) -> None:
    assert ["day", "tick"] == declare(database, definition(), definition("day")).added
    before = stamp(database)
    assert Declared() == declare(database, definition("day"), definition())
    assert (2, before) == (before[0], stamp(database))


def test_what_the_code_changes_raises_the_version_and_keeps_the_pause(database: Database) -> None:
    declare(database, definition())
    database.run(lambda session: schedules.pause(session, "tick", "ada", "too loud"))
    before = row(database)
    assert ["tick"] == declare(database, definition(missed="all")).changed
    after = row(database)
    assert ("all", before.version + 1, before.paused_at, "too loud") == (
        after.missed,
        after.version,
        after.paused_at,
        after.paused_why,
    )
    assert before.counts_from == after.counts_from


def test_a_changed_trigger_counts_from_its_change(database: Database) -> None:
    declare(database, definition())
    before = row(database)
    declare(database, definition(trigger={"every": "2s"}))
    after = row(database)
    assert {"every": "2s"} == after.trigger
    assert before.counts_from < after.counts_from


def test_what_the_code_has_no_more_is_retired_and_can_come_back(database: Database) -> None:
    declare(database, definition())
    assert ["tick"] == declare(database).retired
    retired = row(database)
    assert Declared() == declare(database)
    assert ["tick"] == declare(database, definition()).changed
    back = row(database)
    assert (True, None) == (retired.retired_at is not None, back.retired_at)
    assert retired.counts_from < back.counts_from


def test_an_operators_schedule_keeps_its_name_and_is_never_retired(database: Database) -> None:
    assert database.run(lambda session: schedules.add(session, definition(data={"n": 1})))
    assert not database.run(lambda session: schedules.add(session, definition(data={"n": 2})))
    assert Declared(taken=["tick"]) == declare(database, definition())
    assert Declared() == declare(database)
    found = row(database)
    assert (OPERATOR, {"n": 1}, None) == (found.origin, found.data, found.retired_at)


def test_only_an_operators_schedule_can_be_removed(database: Database) -> None:
    declare(database, definition())
    database.run(lambda session: schedules.add(session, definition("mine")))
    before = stamp(database)
    removed = [database.run(partial(schedules.remove, name=name)) for name in ("tick", "mine", "none")]
    assert [False, True, False] == removed
    assert before != stamp(database)


def test_a_schedule_that_is_removed_and_added_again_has_another_stamp(database: Database) -> None:
    database.run(lambda session: schedules.add(session, definition()))
    database.run(lambda session: schedules.pause(session, "tick", "ada", "why"))
    before = stamp(database)
    database.run(lambda session: schedules.remove(session, "tick"))
    database.run(lambda session: schedules.add(session, definition()))
    assert before != stamp(database)


def test_a_pause_and_a_resume_happen_once_each(database: Database) -> None:
    declare(database, definition())
    stamps = [stamp(database)]
    for expected in (True, False):
        assert expected == database.run(lambda session: schedules.pause(session, "tick", "ada", "why"))
    stamps.append(stamp(database))
    paused = row(database)
    for expected in (True, False):
        assert expected == database.run(lambda session: schedules.resume(session, "tick"))
    stamps.append(stamp(database))
    resumed = row(database)
    assert ("ada", "why", None, None) == (paused.paused_by, paused.paused_why, resumed.paused_at, resumed.paused_why)
    assert paused.counts_from < resumed.counts_from
    assert 3 == len(set(stamps))


def test_schedules_are_listed_by_name_and_by_what_they_are(database: Database) -> None:
    declare(database, definition("a"), definition("b", type="day.ended"), definition("c"))
    declare(database, definition("a"), definition("b", type="day.ended"))
    database.run(lambda session: schedules.add(session, definition("d")))
    database.run(lambda session: schedules.pause(session, "a", "ada", "why"))
    database.run(lambda session: silences.begin(session, "b", DUE))

    def names(after: str | None = None, limit: int = 50, **wanted: str) -> list[str]:
        with database.reading() as session:
            return [each.name for each in schedules.page(session, Filter(**wanted), after=after, limit=limit)]

    assert ["a", "b", "c", "d"] == names()
    assert ["b", "c"] == names("a", 2)
    assert [["a", "b", "c"], ["d"]] == [names(origin=each) for each in (CODE, OPERATOR)]
    assert [["d"], ["a"], ["c"], ["b"]] == [names(state=each) for each in ("running", "paused", "retired", "silent")]
    assert ["b"] == names(type="day.ended")


def test_a_due_time_is_claimed_once(database: Database) -> None:
    declare(database, definition(), definition("other"))
    assert [("tick", DUE)] == claim(database, claim_of())
    both = [claim_of(DUE + SECOND), claim_of(), claim_of(name="other")]
    assert [("other", DUE), ("tick", DUE + SECOND)] == claim(database, *both)
    assert [] == claim(database, *both)


def test_hundreds_are_claimed_by_two_statements(database: Database) -> None:
    """Five hundred schedules that are due in the same second are one small transaction."""
    names = [f"s{number:03}" for number in range(500)]
    declare(database, *map(definition, names))
    assert 500 == len(claim(database, *(claim_of(name=name) for name in reversed(names))))


@pytest.mark.parametrize("why", ["paused", "retired", "gone", "counts from then on"])
def test_a_schedule_that_does_not_run_claims_nothing(database: Database, why: str) -> None:
    declare(database, definition())
    due = DUE
    if why == "paused":
        database.run(lambda session: schedules.pause(session, "tick", "ada", "why"))
    elif why == "retired":
        declare(database)
    elif why == "counts from then on":
        due = row(database).counts_from
    assert [] == claim(database, claim_of(due, "none" if why == "gone" else "tick"))


def test_an_order_is_given_once_and_never_for_a_due_time_that_was_decided(database: Database) -> None:
    declare(database, definition())
    claim(database, claim_of())
    dues = [DUE + SECOND, DUE, DUE - SECOND]
    assert [DUE - SECOND, DUE + SECOND] == order(database, *dues, note="ada: lost", operation_id="1")
    assert [] == order(database, *dues)
    assert [] == claim(database, *map(claim_of, dues))


def test_manual_runs_come_first_and_then_the_oldest_due_time(database: Database) -> None:
    order(database, DUE + SECOND, DUE)
    order(database, DUE + 2 * SECOND, kind=MANUAL)
    assert [(MANUAL, DUE + 2 * SECOND), (BACKFILL, DUE), (BACKFILL, DUE + SECOND)] == orders(database)
    assert 1 == len(orders(database, 1))


def test_an_order_is_taken_once(database: Database) -> None:
    order(database, DUE, note="ada: lost")
    for expected in (True, False):
        assert expected == database.run(lambda session: schedule_runs.take_order(session, "tick", DUE))
    with database.reading() as session:
        (run,) = ledger.page(session, "tick")
    assert ("fired", "ada: lost", []) == (run.state, run.note, orders(database))


def test_the_orders_of_one_backfill_can_be_given_up(database: Database) -> None:
    order(database, DUE, DUE + SECOND, operation_id="1")
    order(database, DUE + 2 * SECOND, operation_id="2")
    database.run(lambda session: schedule_runs.take_order(session, "tick", DUE))
    with database.reading() as session:
        assert 1 == schedule_runs.orders_left(session, "1")
    assert 1 == database.run(lambda session: schedule_runs.cancel_orders(session, "1"))
    assert [(BACKFILL, DUE + 2 * SECOND)] == orders(database)
    assert database.run(lambda session: schedule_runs.cancel_order(session, "tick", DUE + 2 * SECOND, "gone"))
    with database.reading() as session:
        cancelled = ledger.page(session, "tick", ledger.Filter(state="cancelled"))
    assert ["gone", None] == [run.note for run in cancelled]


def test_the_newest_due_time_is_no_order_and_not_of_the_future(database: Database) -> None:
    declare(database, definition(), definition("other"), definition("idle"))
    claim(database, claim_of(), claim_of(DUE + SECOND), claim_of(DUE + 10 * SECOND), claim_of(DUE - SECOND, "other"))
    order(database, DUE + 2 * SECOND)
    with database.reading() as session:
        newest = schedule_runs.newest_due(session, upto=DUE + 5 * SECOND)
        one = schedule_runs.newest_due(session, upto=DUE + 10 * SECOND, names=["tick"])
    assert {"tick": DUE + SECOND, "other": DUE - SECOND} == newest
    assert {"tick": DUE + 10 * SECOND} == one


def test_gaps_are_listed_and_what_was_missed_is_counted(database: Database) -> None:
    for schedule, reason, due, fired in (("a", MISSED, 10, 1), ("a", MISSED, 5, 5), ("a", PAUSED, 7, 0)):
        gap = schedule_gaps.new(
            schedule=schedule, reason=reason, first=DUE, last=DUE + SECOND, due=due, fired=fired, policy="latest"
        )
        database.run(partial(schedule_gaps.add, gap=gap))
    with database.reading() as session:
        newest, *others = schedule_gaps.page(session, schedule="a")
        assert (PAUSED, 7, DUE) == (newest.reason, newest.due, newest.first_due_at)
        assert [others[0].id] == [gap.id for gap in schedule_gaps.page(session, before=newest.id, limit=1)]
        assert 2 == len(schedule_gaps.page(session, reason=MISSED))
        assert ({"a": 9}, 9, 0) == (
            schedule_gaps.counts(session),
            schedule_gaps.count(session, "a"),
            schedule_gaps.count(session, "b"),
        )


def test_operations_of_another_kind_are_not_this_ones_work(database: Database) -> None:
    """Whoever works replays off would end a backfill, of which it knows nothing."""

    def write(session: Any) -> None:
        operations.add(session, operations.BACKFILL, {}, operation_id="1", total=3)

    database.run(write)
    with database.reading() as session:
        assert ([], ["1"]) == tuple(operations.open_ids(session, kind) for kind in ("replay", operations.BACKFILL))
        assert 0 == session.connection().execute(select(func.count()).select_from(table(ScheduleRun))).scalar_one()
