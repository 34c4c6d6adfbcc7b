"""A schedule whose type asks for a job: a row and an event at each due time, in any number of replicas."""

from datetime import timedelta
from typing import Any

import pytest

from events.jobs import JobRequested
from infra.database import jobs, retirements, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.jobs import Stored
from infra.database.schedule_runs import MANUAL
from infra.database.schedules import Definition
from scheduler.orders import Orders
from tests import kinds
from tests.scheduler.replicas import SECOND, START, Replica, announced, declare, runs, ticking

PARAMETERS = {"since": "2026-11-01T00:00:00Z"}


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
