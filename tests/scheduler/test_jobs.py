"""A schedule whose type asks for a job: a row and an event at each due time, in any number of replicas."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from events.jobs import JobRequested
from infra.database import jobs, retirements, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.jobs import Stored
from infra.database.schedule_runs import MANUAL
from infra.database.schedules import Definition
from infra.jobs import timed
from scheduler.orders import Orders
from tests import kinds
from tests.scheduler.replicas import (
    SECOND,
    START,
    Replica,
    announced,
    backfill,
    declare,
    operation,
    runs,
    ticking,
)
from tests.waiting import until

PARAMETERS = {"since": "2026-11-01T00:00:00Z"}
#: Whether another transaction waits for the end of this one.
_IS_WAITED_FOR = text(
    "SELECT count(*) FROM pg_locks waiting JOIN pg_locks held USING (transactionid)"
    " WHERE NOT waiting.granted AND held.granted AND held.pid = pg_backend_pid()"
)


@pytest.fixture(autouse=True)
def declared(database: Database) -> None:
    kinds.declare(
        database, kinds.subscription("report", kinds.Report), kinds.subscription("alone", kinds.Report, unique="refuse")
    )
    declare(database, ticking())


def schedule(database: Database, kind: str = "report", **changes: Any) -> Replica:
    """Have an operator's schedule ask for this each minute; gives a replica that has come to the present moment."""
    made = {"name": "each-minute", "trigger": {"every": "1m"}, "type": f"job.requested.{kind}", "data": PARAMETERS}
    database.run(lambda session: schedules.add(session, Definition(**made | changes)))
    return Replica(database, ticking())


def asked(database: Database) -> list[Stored]:
    """The jobs that there are, the oldest first."""
    with database.reading() as session:
        return jobs.page(session, jobs.Filter())[::-1]


def requests(database: Database) -> list[str | None]:
    """Ids of the jobs that are announced."""
    return [each.subject for each in announced(database) if isinstance(each.data, JobRequested)]


def while_another_asks_for_the_same(database: Database, decide: Callable[[], None]) -> str:
    """Decide while a transaction that began earlier has the job, unseen as yet; gives that job's id."""
    with ThreadPoolExecutor(1) as pool, database.transaction() as session:
        event = timed.request("another", "alone", PARAMETERS, START)
        assert timed.admit(session, event, "event-1", "another") is None
        deciding = pool.submit(decide)
        until(lambda: _is_waited_for(session), what="the other one's wait")
    deciding.result()
    (job,) = asked(database)
    return str(job.job.id)


def _is_waited_for(session: Session) -> bool:
    return bool(session.connection().execute(_IS_WAITED_FOR).scalar_one())


def minutes(replica: Replica, database: Database, number: int) -> None:
    """Let so many due times of the schedule pass, which counts from when it was made."""
    with database.reading() as session:
        row = schedules.find(session, "each-minute")
    assert row is not None
    first = (row.counts_from - START).total_seconds()
    for minute in range(1, number + 1):
        replica.at(first + 60 * minute)


def test_each_due_time_asks_for_a_job(database: Database) -> None:
    replica = schedule(database)
    minutes(replica, database, 2)
    minutes(schedule(database), database, 2)  # another replica
    first, second = asked(database)
    requests = [each for each in announced(database) if isinstance(each.data, JobRequested)]
    fired = runs(database, "each-minute")
    assert [(each.event_id, "fired") for each in fired] == [(each.id, "fired") for each in requests]
    assert [first.job.id, second.job.id] == [each.subject for each in requests]
    assert ("report", "queued", PARAMETERS, "schedule each-minute", requests[0].id) == (
        first.job.kind, first.job.state, first.job.parameters, first.job.requested_by, first.job.event_id,
    )  # fmt: skip


def test_while_one_that_is_to_be_alone_is_open_the_next_is_left_out_with_a_note(database: Database) -> None:
    replica = schedule(database, "alone")
    minutes(replica, database, 2)
    (job,) = asked(database)
    _, skipped = runs(database, "each-minute")
    assert ("skipped", f"No job was asked for: /jobs/{job.job.id} is still open.") == (skipped.state, skipped.note)
    kinds.change(database, job.job.id, state="succeeded")
    minutes(replica, database, 3)
    assert 2 == len(asked(database))


def test_a_kind_that_is_gone_is_told_of_and_keeps_nobody_else_from_firing(database: Database) -> None:
    replica = schedule(database)
    database.run(lambda session: retirements.begin(session, "report"))
    minutes(replica, database, 1)
    assert [] == asked(database)
    (skipped,) = runs(database, "each-minute")
    assert "The kind report is being retired" in (skipped.note or "")
    assert announced(database)


def test_parameters_that_the_kind_takes_no_more_are_named_in_words_and_none_repeats_a_value(database: Database) -> None:
    replica = schedule(database, data={"since": "secret", "dayz": 1})
    minutes(replica, database, 1)
    (skipped,) = runs(database, "each-minute")
    note = skipped.note or ""
    assert note.startswith("No job was asked for: parameters.")
    assert note.endswith(" And 1 more.")
    assert "secret" not in note
    assert [] == asked(database)


def test_a_run_of_now_asks_for_one_too(database: Database) -> None:
    replica = schedule(database, "alone")
    replica.following.look(START)
    due = START - timedelta(days=1)
    database.run(lambda session: schedule_runs.order(session, "each-minute", [due], MANUAL, note="ada: now"))
    orders = Orders(database, replica.following)
    orders.look()
    (job,) = asked(database)
    database.run(lambda session: schedule_runs.order(session, "each-minute", [due + SECOND], MANUAL, note="ada: now"))
    orders.look()
    assert [job.job.id] == [each.job.id for each in asked(database)]
    assert ["fired", "cancelled"] == [run.state for run in runs(database, "each-minute")]


def test_of_a_backfill_of_jobs_that_are_to_be_alone_one_is_asked_for_and_the_rest_can_be_ordered_again(
    database: Database,
) -> None:
    replica = schedule(database, "alone")
    replica.following.look(START)
    orders, dues = Orders(database, replica.following), [START - timedelta(days=1) + each * SECOND for each in range(5)]
    operation_id = backfill(database, dues, "each-minute")
    orders.look()
    (job,) = asked(database)
    ended = operation(database, operation_id)
    assert (1, 4, "1 announced, 4 could not be") == (ended.sent, ended.failed, ended.message)
    left_out = ("cancelled", f"No job was asked for: /jobs/{job.job.id} is still open.")
    assert [("fired", None), *[left_out] * 4] == [(run.state, run.note) for run in runs(database, "each-minute")]
    assert [job.job.id] == requests(database)
    kinds.change(database, job.job.id, state="succeeded")
    backfill(database, dues[1:], "each-minute")
    orders.look()
    assert [each.job.id for each in asked(database)] == requests(database)
    assert ["fired", "fired", "cancelled", "cancelled", "cancelled"] == [
        run.state for run in runs(database, "each-minute")
    ]


def test_a_due_time_whose_job_is_there_already_is_left_out_and_announces_nothing(database: Database) -> None:
    replica = schedule(database)
    minutes(replica, database, 1)
    (first,) = runs(database, "each-minute")
    again = timed.request("each-minute", "report", PARAMETERS, first.due_at + timedelta(minutes=1))
    with database.transaction() as session:
        assert timed.admit(session, again, "event-1", "each-minute") is None
    minutes(replica, database, 2)
    _, second = runs(database, "each-minute")
    note = "No job was asked for: the same one had been asked for already."
    assert ("skipped", note) == (second.state, second.note)
    assert 1 == len(requests(database))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_due_time_is_left_out_when_the_job_that_is_in_its_way_is_only_now_committed(database: Database) -> None:
    replica = schedule(database, "alone")
    other = while_another_asks_for_the_same(database, lambda: minutes(replica, database, 1))
    (run,) = runs(database, "each-minute")
    assert ("skipped", f"No job was asked for: /jobs/{other} is still open.") == (run.state, run.note)
    assert [] == requests(database)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_order_is_given_up_when_the_job_that_is_in_its_way_is_only_now_committed(database: Database) -> None:
    replica = schedule(database, "alone")
    replica.following.look(START)
    operation_id = backfill(database, [START - timedelta(days=1)], "each-minute")
    other = while_another_asks_for_the_same(database, Orders(database, replica.following).look)
    (run,) = runs(database, "each-minute")
    assert ("cancelled", f"No job was asked for: /jobs/{other} is still open.") == (run.state, run.note)
    assert (0, 1) == (operation(database, operation_id).sent, operation(database, operation_id).failed)
    assert [] == requests(database)
