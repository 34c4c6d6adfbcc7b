"""The duty that ends jobs which nobody else will end; the request of a job is the event of the same number."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import insert, select, text, update

from events.jobs import JobRequested
from infra.database import consumers, replays
from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import Inbox, Outbox, table
from infra.jobs import reconciling
from infra.jobs.kinds import Kind
from infra.jobs.reconciling import Reconciling
from infra.subscriptions import Subscription
from tests import jobrows
from tests.eventlogs import event_id, fill
from tests.infra.recovery.conftest import write_letter

_INBOX, _LETTER, _OUTBOX = table(Inbox), table(DeadLetter), table(Outbox)
KIND = "count-stars"


class Stars(BaseModel):
    """Nothing in particular."""


def number(n: int) -> str:
    """The id of a job."""
    return f"00000000-0000-7000-8000-{n:012}"


@pytest.fixture
def town(database: Database) -> Database:
    """A kind of jobs that announces, and a log with requests."""
    kind = Kind(KIND, print, Stars, announce=True)
    recorded = Subscription(KIND, (JobRequested.type_of(KIND),), print, job=kind.described())
    with database.transaction() as session:
        consumers.declare(session, [recorded])
    fill(database, 5)
    return database


def settle(database: Database, n: int, state: str, *, letter: str | None = None) -> None:
    """What became of a request: in the inbox, and as a dead letter."""
    row = {"event_id": event_id(n), "consumer": KIND, "state": state, "attempts": 1, "first_at": datetime.now(UTC)}
    with database.transaction() as session:
        session.connection().execute(insert(_INBOX).values(row))
        if letter is not None:
            write_letter(session, event_id(n), KIND)
            error = {"state": letter, "reason": "delivery-limit", "error": "It came back 20 times."}
            session.connection().execute(update(_LETTER).values(error))


def announced(database: Database) -> list[str]:
    """Types of the events that wait to be published."""
    with database.reading() as session:
        return list(session.connection().execute(select(_OUTBOX.c.type)).scalars())


@pytest.mark.parametrize(
    ("letter", "error"),
    [
        ("waiting", "It was given up without a try that could say so (delivery-limit): It came back 20 times."),
        ("discarded", "An operator has discarded its dead letter."),
        ("superseded", "An operator has sent its request again, changed, in its place."),
    ],
)
@pytest.mark.parametrize("state", ["queued", "running", "retrying"])
def test_a_job_whose_message_is_dead_has_failed(town: Database, state: str, letter: str, error: str) -> None:
    jobrows.write(town, number(1), KIND, event_id(1), state)
    settle(town, 1, "dead", letter=letter)
    assert reconciling.PAUSE == Reconciling(town).step()
    assert {number(1): ("failed", error)} == jobrows.ends(town)
    assert ["job.ended"] == announced(town)


@pytest.mark.parametrize(("state", "letter"), [("dead", "replaying"), ("dead", None), ("retrying", "replaying")])
def test_a_job_is_left_alone_whose_message_is_on_its_way(town: Database, state: str, letter: str | None) -> None:
    jobrows.write(town, number(1), KIND, event_id(1), "retrying")
    settle(town, 1, state, letter=letter)
    Reconciling(town).step()
    assert {number(1): ("retrying", None)} == jobrows.ends(town)


def test_a_job_is_left_alone_that_waits_in_its_queue_or_for_the_relay(town: Database) -> None:
    jobrows.write(town, number(1), KIND, event_id(1))
    jobrows.write(town, number(2), KIND, "unpublished")
    waits = {"event_id": "unpublished", "type": "t", "body": "", "attempts": 0, "set_aside": False}
    moments = dict.fromkeys(["available_at", "added_at"], datetime.now(UTC))
    with town.transaction() as session:
        session.connection().execute(insert(_OUTBOX).values(waits | moments))
    Reconciling(town).step()
    assert {number(1): ("queued", None), number(2): ("queued", None)} == jobrows.ends(town)


def test_a_job_that_somebody_works_on_is_left_alone_whatever_is_known_of_its_message(town: Database) -> None:
    jobrows.hold(town, number(1), KIND, event_id(1), seconds=60)
    settle(town, 1, "dead", letter="waiting")
    Reconciling(town).step()
    assert {number(1): ("running", None)} == jobrows.ends(town)


def test_a_job_has_failed_whose_worker_is_gone_and_whose_message_was_settled(town: Database) -> None:
    jobrows.hold(town, number(1), KIND, event_id(1), seconds=-1)
    settle(town, 1, "handled")
    Reconciling(town).step()
    assert {number(1): ("failed", "Its message was settled without it: start it again.")} == jobrows.ends(town)


def test_a_job_has_failed_whose_kind_was_retired(town: Database) -> None:
    jobrows.write(town, number(1), "count-moons", event_id(1))
    Reconciling(town).step()
    error = "Its kind is no more: the consumer count-moons has been retired."
    assert {number(1): ("failed", error)} == jobrows.ends(town)
    assert [] == announced(town), "nobody knows any more whether it announces"


def test_a_job_has_failed_whose_request_is_nowhere(town: Database) -> None:
    jobrows.write(town, number(1), KIND, "removed")
    Reconciling(town).step()
    error = "Its request was taken back, or removed, before anybody began."
    assert {number(1): ("failed", error)} == jobrows.ends(town)


def test_a_job_that_was_to_be_cancelled_is_cancelled_and_not_failed(town: Database) -> None:
    jobrows.hold(town, number(1), KIND, event_id(1), seconds=-1, cancelled_at=datetime.now(UTC))
    settle(town, 1, "dead", letter="waiting")
    Reconciling(town).step()
    assert "cancelled" == jobrows.ends(town)[number(1)][0]


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_what_has_ended_stays_as_it_is(town: Database, state: str) -> None:
    jobrows.write(town, number(1), KIND, "removed", state)
    Reconciling(town).step()
    assert {number(1): (state, None)} == jobrows.ends(town)


def test_a_worker_that_takes_a_job_up_meanwhile_keeps_it(town: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    jobrows.write(town, number(1), KIND, "removed")

    def run(work: Any) -> Any:
        with town.transaction() as session:
            session.connection().execute(text("UPDATE job SET state = 'succeeded'"))
        with town.transaction() as session:
            return work(session)

    monkeypatch.setattr(town, "run", run)
    Reconciling(town).step()
    assert {number(1): ("succeeded", None)} == jobrows.ends(town)


@pytest.mark.parametrize("state", ["queued", "retrying"])
def test_a_job_whose_dead_letter_is_replayed_meanwhile_waits_for_its_replay(
    town: Database, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Else it would be told to have failed, and its replay would end it once more."""
    jobrows.write(town, number(1), KIND, event_id(1), state)
    settle(town, 1, "dead", letter="waiting")
    run = town.run

    def replayed_first(work: Any) -> Any:
        with town.transaction() as session:
            letters = list(session.connection().execute(select(_LETTER.c.id)).scalars())
            assert 1 == replays.begin(session, letters)
        return run(work)

    monkeypatch.setattr(town, "run", replayed_first)
    Reconciling(town).step()
    assert {number(1): (state, None)} == jobrows.ends(town)
    assert [] == announced(town)


def test_many_open_jobs_are_gone_over_in_parts_and_then_from_the_beginning(
    town: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "PART", 2)
    for n in range(1, 6):
        jobrows.write(town, number(n), KIND, event_id(n))
    settle(town, 5, "handled")
    duty = Reconciling(town)
    assert [reconciling.SOON, reconciling.SOON, reconciling.PAUSE] == [duty.step() for _ in range(3)]
    assert "failed" == jobrows.ends(town)[number(5)][0]
    settle(town, 1, "handled")
    duty.step()
    assert "failed" == jobrows.ends(town)[number(1)][0]
