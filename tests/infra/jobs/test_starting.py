"""A job that a handler asks for: in its transaction, and once for each event, however often that is handled."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import Session

from events.clock import DayEnded
from events.envelope import Envelope, announce, decode
from infra.context import DeliveryContext
from infra.database import jobs, outbox
from infra.database.engine import Database
from infra.errors import NotKnown, NotNow
from infra.fitting import DoesNotFit
from infra.jobs import starting
from infra.jobs.starting import AlreadyOpen, Request, start
from tests import kinds
from tests.kinds import REPORT, Report

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
EVENT = announce(DayEnded(day=SINCE.date()), source="/scheduler")


@pytest.fixture(autouse=True)
def declared(database: Database) -> None:
    kinds.declare(
        database,
        kinds.subscription(),
        kinds.subscription("refusing", kinds.Anything, unique="refuse"),
        kinds.subscription("joining", kinds.Anything, unique="join"),
    )


def handle(database: Database, handler: Callable[[DeliveryContext], str], envelope: Envelope = EVENT) -> str:
    """One delivery to the consumer `morning`."""
    with database.transaction() as session:
        return handler(DeliveryContext(envelope, "morning", 1, False, lambda: session))


def requests(database: Database) -> list[Envelope]:
    with database.reading() as session:
        return [decode(row.body.encode()) for row in outbox.due(session, 100)]


def test_a_handler_starts_a_job_in_one_line_and_its_event_is_the_cause(database: Database) -> None:
    job_id = handle(database, lambda context: start(context, REPORT, Report(since=SINCE)))
    with database.reading() as session:
        found = jobs.find(session, job_id)
    assert found is not None
    assert ("queued", "morning") == (found.job.state, found.job.requested_by)
    (request,) = requests(database)
    assert (EVENT.id, EVENT.correlation_id, "day.ended", "/consumers/morning", job_id, found.job.event_id) == (
        request.causation_id, request.correlation_id, request.causation_types, request.source, request.subject,
        request.id,
    )  # fmt: skip


def test_a_delivery_that_comes_again_finds_the_job_that_it_started(database: Database) -> None:
    first, again = (handle(database, lambda context: start(context, REPORT, Report(since=SINCE))) for _ in range(2))
    assert first == again
    assert 1 == len(requests(database))


def test_a_transaction_that_fails_leaves_neither_job_nor_event(database: Database) -> None:
    def failing(context: DeliveryContext) -> str:
        start(context, REPORT, Report(since=SINCE))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        handle(database, failing)
    assert [] == requests(database)
    with database.reading() as session:
        assert [] == jobs.page(session, jobs.Filter())


def test_what_differs_is_another_job(database: Database) -> None:
    other = announce(DayEnded(day=SINCE.date()), source="/scheduler")
    made = {
        handle(database, lambda context: start(context, REPORT, Report(since=SINCE))),
        handle(database, lambda context: start(context, REPORT, Report(since=SINCE, days=8))),
        handle(database, lambda context: start(context, REPORT, Report(since=SINCE), key="for Grace")),
        handle(database, lambda context: start(context, REPORT, Report(since=SINCE)), other),
    }
    assert 4 == len(made) == len(requests(database))


def test_one_is_checked_as_over_http(database: Database) -> None:
    with pytest.raises(NotKnown, match="there are joining, refusing, sales-report"):
        handle(database, lambda context: start(context, "sales", {}))
    with pytest.raises(DoesNotFit, match=r"^parameters\.since: This is required\.$"):
        handle(database, lambda context: start(context, REPORT, {}))
    assert [] == requests(database)


def test_what_no_message_holds_is_refused(database: Database) -> None:
    with pytest.raises(DoesNotFit, match=r"parameters: They make a message of \d+ bytes, 262144 at most\."):
        handle(database, lambda context: start(context, "joining", {"text": "x" * 262_144}))
    assert [] == requests(database)


def asked_at_once(database: Database, kind: str) -> list[Any]:
    """By eight threads, each in a transaction of its own."""

    def ask(_: int) -> Any:
        def work(session: Session) -> str:
            return starting.request(session, kind, {}, Request(requested_by="me", source="/tests")).id

        try:
            with database.transaction() as session:
                return work(session)
        except AlreadyOpen as error:
            return error

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(ask, range(16)))


def test_of_many_transactions_one_starts_a_job_that_is_to_be_alone(database: Database) -> None:
    refused = asked_at_once(database, "refusing")
    (made,) = [each for each in refused if isinstance(each, str)]
    assert {made} == {each.job_id for each in refused if isinstance(each, AlreadyOpen)}
    assert 1 == len(set(asked_at_once(database, "joining")))
    assert 2 == len(requests(database))


def test_a_job_that_is_being_cancelled_is_not_joined_and_the_next_one_is_new(database: Database) -> None:
    def ask() -> str:
        return handle(database, lambda context: start(context, "joining", {}, key=str(uuid4())))

    first = ask()
    kinds.change(database, first, state="running", owner="w", busy_until=datetime.now(UTC) + timedelta(minutes=1))
    with database.transaction() as session:
        assert jobs.cancel(session, first, "by me")
    with pytest.raises(NotNow, match=f"/jobs/{first} with these parameters is being cancelled: ask again"):
        ask()
    assert 1 == len(requests(database))
    kinds.change(database, first, state="cancelled")
    assert first != ask()
    assert 2 == len(requests(database))
