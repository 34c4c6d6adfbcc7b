"""What the cleaning takes and what it leaves, table by table, at the very border: the same on both databases."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import update

from infra.cleaning.cleaning import TABLES
from infra.database import backfills, consumers, event_log
from infra.database.consumer_tables import Backfill
from infra.database.recovery_tables import Audit, DeadLetter, Operation, Pause, Resend, Unsettled
from infra.database.schedule_tables import ScheduleGap
from infra.database.tables import Activity, Effect, EventLog, Idempotency, Inbox, Outbox, ScheduleRun, table
from infra.jobs.storing import Folder
from infra.recovery import replaying
from tests.madejobs import Jobs
from tests.oldrows import CONSUMER, DAY, KEPT, MINUTE, NOTHING_GOES, Rows, ago, id_of
from tests.pasts import ME, begin, stopped

#: Ages on both sides of what the event log keeps, and the inbox.
OLD, YOUNG = KEPT.event_log + MINUTE, KEPT.event_log - MINUTE
LONG_AGO, NOT_SO_LONG_AGO = KEPT.inbox + MINUTE, KEPT.inbox - MINUTE


def test_an_old_event_that_is_settled_leaves_the_log_and_a_younger_one_stays(rows: Rows) -> None:
    rows.log((1, 20 * DAY), (2, OLD), (3, YOUNG), (4, DAY))
    rows.consumer(scanned=4)
    assert {"event_log": 2} == rows.clean().removed
    assert [3, 4] == rows.of(EventLog, "position")


def test_the_newest_event_stays_however_old_it_is_since_positions_count_on_from_it(rows: Rows) -> None:
    rows.log((1, 30 * DAY), (2, 20 * DAY))
    rows.clean()
    assert [2] == rows.of(EventLog, "position")
    rows.consumer("new", scanned=2)
    with rows.database.reading() as session:
        assert (2, 2) == (event_log.last_position(session), consumers.declared(session)[0].since)


def test_what_the_sweep_has_not_looked_at_for_some_consumer_stays_and_the_consumer_is_named(rows: Rows) -> None:
    rows.log(*((position, 20 * DAY) for position in range(1, 6)))
    rows.consumer("quick", scanned=5)
    rows.consumer("slow", scanned=2)
    assert (["slow"], {"event_log": 2}) == ((cleaned := rows.clean()).waits_for, cleaned.removed)
    assert [3, 4, 5] == rows.of(EventLog, "position")


@pytest.mark.parametrize("state", ["waiting", "queued", "replaying"])
def test_an_event_that_is_not_settled_or_has_an_open_dead_letter_or_is_sent_again_stays(rows: Rows, state: str) -> None:
    events = rows.log(*((position, 20 * DAY) for position in range(1, 7)))
    rows.consumer(scanned=6)
    rows.unsettled(1)
    rows.letter(events[1], state, 20 * DAY)
    rows.letter(events[2], "discarded", 20 * DAY)
    rows.resend(events[3])
    rows.clean()
    assert [1, 2, 4, 6] == rows.of(EventLog, "position")


def test_an_old_row_of_the_inbox_goes_with_its_effects_once_its_event_is_gone(rows: Rows) -> None:
    gone, still_there = id_of(20 * DAY, 1), *rows.log((1, YOUNG), (2, DAY))[:1]
    for event in (gone, still_there):
        rows.handled(event, 20 * DAY)
    assert {"inbox": 1, "effect": 1} == rows.clean().removed
    assert ([still_there], [still_there]) == (rows.of(Inbox, "event_id"), rows.of(Effect, "event_id"))


def test_an_event_and_its_rows_go_in_one_pass_when_all_are_old(rows: Rows) -> None:
    event, _ = rows.log((1, 20 * DAY), (2, DAY))
    rows.handled(event, 20 * DAY)
    rows.letter(event, "handled", 20 * DAY)
    rows.consumer(scanned=2)
    assert {"event_log": 1, "inbox": 1, "effect": 1, "dead_letter": 1} == rows.clean().removed


def test_the_age_of_a_row_of_the_inbox_counts_from_when_anything_happened_to_it_last(rows: Rows) -> None:
    rows.handled(id_of(20 * DAY, 1), LONG_AGO)
    rows.handled(id_of(20 * DAY, 2), NOT_SO_LONG_AGO)
    rows.handled(id_of(20 * DAY, 3), 20 * DAY, handled_at=ago(NOT_SO_LONG_AGO))
    rows.handled(id_of(20 * DAY, 4), 20 * DAY, failed_at=ago(NOT_SO_LONG_AGO))
    rows.handled(id_of(20 * DAY, 5), 20 * DAY, state="retrying", handled_at=None, retry_at=ago(NOT_SO_LONG_AGO))
    rows.clean()
    assert 4 == rows.count(Inbox)[0] == rows.count(Effect)[0]


def test_a_row_of_the_inbox_stays_while_anything_may_bring_its_event_again(rows: Rows) -> None:
    rows.consumer(scanned=0)
    owed, dead, waiting, again = (id_of(20 * DAY, number) for number in range(4))
    rows.handled(owed, 20 * DAY, state="committed")
    for event in (dead, waiting, again):
        rows.handled(event, 20 * DAY)
    rows.letter(dead, "waiting", 20 * DAY)
    rows.resend(again)
    row = {"event_id": waiting, "type": "t", "body": "{}", "available_at": ago(DAY), "added_at": ago(DAY)}
    rows.insert(Outbox, row | {"attempts": 0, "set_aside": False})
    assert {} == rows.clean().removed


def test_effects_that_are_owed_by_a_consumer_that_is_gone_are_owed_no_more(rows: Rows) -> None:
    rows.handled(id_of(20 * DAY), 20 * DAY, state="committed")
    assert {"inbox": 1, "effect": 1} == rows.clean().removed


def test_the_inbox_of_a_consumer_stays_while_it_is_paused_or_behind_since_copies_may_wait_in_its_queue(
    rows: Rows,
) -> None:
    rows.log((1, 20 * DAY), (2, 20 * DAY), (3, DAY))
    rows.consumer("paused", scanned=3)
    rows.consumer("behind", scanned=3)
    rows.consumer("well", scanned=3)
    rows.insert(
        Unsettled, {"consumer": "behind", "position": 1, "event_id": id_of(20 * DAY, 1), "published_at": ago(20 * DAY)}
    )
    rows.insert(Pause, {"consumer": "paused", "by": "operator", "reason": "", "since": ago(15 * DAY)})
    for name in ("paused", "behind", "well"):
        for event in (2, 3):
            rows.handled(id_of(20 * DAY, event), 20 * DAY, name)
            rows.handled(id_of(DAY, event), DAY, name)
    rows.clean()
    left = {name for name, event in rows.of(Inbox, "consumer", "event_id") if event < id_of(2 * DAY)}
    assert {"paused", "behind"} == left


def test_a_pause_that_began_lately_keeps_nothing_that_is_older(rows: Rows) -> None:
    rows.consumer(scanned=0)
    rows.insert(Pause, {"consumer": CONSUMER, "by": "failures", "reason": "", "since": ago(DAY)})
    rows.handled(id_of(20 * DAY), 20 * DAY)
    assert {"inbox": 1, "effect": 1} == rows.clean().removed


def test_events_with_ids_of_another_kind_go_by_the_age_of_their_rows(rows: Rows) -> None:
    low, high = "0" * 8 + str(uuid4())[8:], "f" * 8 + str(uuid4())[8:]
    for start, age in ((low, 20 * DAY), (high, 20 * DAY), ("e" + high[1:], DAY), ("1" + low[1:], DAY)):
        rows.handled(start, age)
    rows.clean()
    assert ["1" + low[1:], "e" + high[1:]] == rows.of(Inbox, "event_id")


@pytest.mark.parametrize("state", ["handled", "discarded", "superseded"])
def test_a_closed_dead_letter_goes_when_its_event_has_gone(rows: Rows, state: str) -> None:
    event, _ = rows.log((1, YOUNG), (2, DAY))
    young = rows.letter(None, state, KEPT.dead_letters - MINUTE)
    of_logged = rows.letter(event, state, 20 * DAY)
    rows.letter(None, state, KEPT.dead_letters + MINUTE)
    rows.letter(id_of(20 * DAY), state, 20 * DAY)
    counted = rows.letter(None, state, 20 * DAY, operation_id="one")
    assert {"dead_letter": 2} == rows.clean().removed
    assert sorted([young, of_logged, counted]) == rows.of(DeadLetter, "id")


@pytest.mark.parametrize("state", ["waiting", "queued", "replaying"])
def test_an_open_dead_letter_stays_for_ever(rows: Rows, state: str) -> None:
    rows.letter(id_of(5000 * DAY), state, 5000 * DAY)
    assert {} == rows.clean().removed


def test_what_has_no_ties_goes_by_its_age(rows: Rows) -> None:
    for age in (MINUTE, -MINUTE):
        rows.activity(KEPT.activity + age)
        rows.gap(KEPT.schedule_runs + age)
        rows.answers(KEPT.idempotency + age)
        rows.deed(KEPT.audit + age)
    expected = dict.fromkeys(("activity", "schedule_gap", "idempotency", "audit"), 1)
    assert expected == rows.clean().removed
    assert [1, 1, 1, 1] == rows.count(Activity, ScheduleGap, Idempotency, Audit)


def test_an_operation_goes_when_it_has_ended_and_nothing_names_it(rows: Rows) -> None:
    running, named, backfill = (
        rows.operation(each, 20 * DAY, place) for place, each in enumerate(("running", "done", "stopped"))
    )
    rows.operation("failed", KEPT.operations + MINUTE, 7)
    young = rows.operation("done", KEPT.operations - 2 * MINUTE, 8)
    rows.letter(None, "waiting", DAY, operation_id=named)
    rows.runs("tick", ago(DAY), state="ordered", operation_id=backfill)
    assert {"operation": 1} == rows.clean().removed
    assert sorted([running, named, backfill, young]) == rows.of(Operation, "id")


def test_old_runs_go_but_the_last_of_each_schedule_and_each_order(rows: Rows) -> None:
    old = [ago(KEPT.schedule_runs + (20 - number) * MINUTE) for number in range(20)]
    rows.runs("busy", *old, ago(KEPT.schedule_runs - MINUTE))
    rows.runs("rare", *old[:3])
    rows.runs("rare", old[3], state="ordered", kind="backfill")
    rows.runs("skipping", *old[:3])
    rows.runs("skipping", *old[3:6], state="skipped")
    assert {"schedule_run": 20 + 2 + 2 + 2} == rows.clean().removed
    left = [ago(KEPT.schedule_runs - MINUTE), old[2], old[3], old[2], old[5]]
    names = ["busy", "rare", "rare", "skipping", "skipping"]
    assert names == [name for name, _ in rows.of(ScheduleRun, "schedule", "due_at")]
    assert left[1:] == [due for _, due in rows.of(ScheduleRun, "schedule", "due_at")][1:]


def test_a_run_of_long_ago_that_was_decided_lately_stays(rows: Rows) -> None:
    rows.runs("tick", ago(DAY))
    rows.runs("tick", ago(50 * DAY), kind="backfill", fired_at=ago(DAY))
    assert {} == rows.clean().removed


def test_what_was_left_for_a_consumer_that_is_gone_goes_and_its_letter_waits_again(rows: Rows) -> None:
    rows.consumer(scanned=0)
    for name in (CONSUMER, "gone"):
        rows.unsettled(1, name)
        rows.resend(id_of(DAY, 1), name, age=2 * DAY)
    letter = rows.letter(None, "replaying", 2 * DAY, consumer="gone")
    rows.resend(id_of(DAY, 2), "gone", age=2 * DAY, dead_letter_id=letter)
    rows.resend(id_of(DAY, 3), "gone", age=DAY - MINUTE)
    assert {"unsettled": 1, "resend": 2} == rows.clean().removed
    assert (["waiting"], [CONSUMER]) == (rows.of(DeadLetter, "state"), rows.of(Unsettled, "consumer"))
    assert ["gone", CONSUMER] == rows.of(Resend, "consumer")


def test_what_is_kept_for_ever_stays_all_but_what_belongs_to_nobody(rows: Rows) -> None:
    everything(rows, 900 * DAY)
    assert {"unsettled": 1, "resend": 1} == rows.clean(NOTHING_GOES).removed


def test_all_tables_are_cleaned_and_a_dry_run_counts_the_same(rows: Rows, tmp_path: Path) -> None:
    everything(rows, 900 * DAY)
    rows.store = folder = Folder(tmp_path / "results")
    jobs = Jobs(rows.database, folder)
    jobs.made("cancelled", age=900 * DAY)
    jobs.stray(jobs.made("succeeded", ("a", "text/plain", b""), age=2 * DAY, kept=DAY), 2 * DAY)
    expected = dict.fromkeys(TABLES, 1)
    assert expected == {**rows.would_go(), "effect": 1}  # which go with the inbox's rows
    assert expected == rows.clean().removed
    assert {} == rows.would_go()


def everything(rows: Rows, age: timedelta) -> None:
    """One row for each table that may go, and what has to stay beside it."""
    event, _ = rows.log((1, age), (2, DAY))
    rows.consumer(scanned=2)
    rows.handled(event, age)
    rows.letter(event, "handled", age)
    rows.activity(age)
    rows.runs("tick", ago(age), datetime.now(UTC))
    rows.gap(age)
    rows.answers(age)
    rows.operation("done", age)
    rows.deed(age)
    rows.unsettled(1, "gone")
    rows.resend(id_of(age, 9), "gone", age=age)


def test_what_an_open_backfill_has_still_to_send_stays_and_its_consumer_is_named(rows: Rows) -> None:
    rows.log(*((position, 20 * DAY) for position in range(1, 6)))
    rows.consumer(scanned=5)
    operation = begin(rows.database, CONSUMER)
    assert ([CONSUMER], {}) == ((cleaned := rows.clean()).waits_for, cleaned.removed)
    with rows.database.transaction() as session:
        (one,) = backfills.to_send(session)
        backfills.move(session, one, 3, [], ago(MINUTE))
    assert {"event_log": 3} == rows.clean().removed
    with rows.database.transaction() as session:
        replaying.stop(session, operation, **ME)
    assert stopped(rows.database, operation)
    rows.clean()
    assert [5] == rows.of(EventLog, "position")


def test_the_place_of_a_stopped_backfill_goes_with_its_operation(rows: Rows) -> None:
    rows.consumer(scanned=0)
    begin(rows.database, CONSUMER)
    rows.clean()
    assert 1 == len(rows.of(Backfill, "operation_id"))
    with rows.database.transaction() as session:
        session.connection().execute(update(table(Operation)).values(state="stopped", finished_at=ago(400 * DAY)))
        session.connection().execute(update(table(Operation)).values(id=id_of(400 * DAY)))
        session.connection().execute(update(table(Backfill)).values(operation_id=id_of(400 * DAY)))
    rows.clean()
    assert [] == rows.of(Backfill, "operation_id")
