"""What a backfill is to send is looked at first, and what makes no sense is refused; then it begins once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import update

from infra.backfilling import planning
from infra.backfilling.planning import Wanted
from infra.database import audit, operations
from infra.database.engine import Database
from infra.database.tables import Subscription, table
from infra.errors import NotKnown, NotPossible
from infra.fitting import DoesNotFit
from infra.recovery import replaying, resuming
from tests import kinds, pasts
from tests.eventlogs import DAY, USER, fill, handle
from tests.pasts import ME, ago, begin, look, place
from tests.relays import record

SMS = "sms"
_SUBSCRIPTION = table(Subscription)


@pytest.fixture(autouse=True)
def log(database: Database) -> None:
    """A log of forty events, ten of them a day old and thirty an hour, and then a consumer of all."""
    fill(database, 10, at=ago(86_400))
    fill(database, 40, 11, at=ago(3_600))
    record(database, "#", name=SMS)


def wanted(**more: Any) -> Wanted:
    values: dict[str, Any] = {"consumer": SMS, "since": ago(100_000), **more}
    return Wanted(**values)


def retire(database: Database) -> None:
    with database.transaction() as session:
        session.connection().execute(update(_SUBSCRIPTION).values(retiring_since=ago(0)))


def test_a_plan_counts_by_type_what_is_settled_and_what_would_be_sent(database: Database) -> None:
    handle(database, SMS, 12)
    view = planning.plan(database, wanted(rate=7.0)).view
    assert (28, 12, {DAY: 4, USER: 36}, 4.0) == (view.would_send, view.already_settled, view.by_type, view.seconds)
    assert view.first is not None
    assert view.last is not None
    assert timedelta(seconds=1) > abs(view.last - view.first - timedelta(seconds=82_800))


@pytest.mark.parametrize(
    ("more", "would_send", "after", "until"),
    [
        ({}, 40, 0, 40),
        ({"since": ago(7_200)}, 30, 10, 40),
        ({"until": ago(7_200)}, 10, 0, 10),
        ({"types": (DAY,)}, 4, 0, 40),
        ({"types": (DAY, USER), "since": ago(7_200)}, 30, 10, 40),
        ({"since": ago(60)}, 0, 40, 40),
    ],
)
def test_a_range_is_of_times_and_types(
    database: Database, more: dict[str, Any], would_send: int, after: int, until: int
) -> None:
    planned = planning.plan(database, wanted(**more))
    assert (would_send, after, until) == (planned.to_send, planned.after, planned.until)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"since": ago(-86_400)}, "since: in the future."),
        ({"until": ago(-86_400)}, "until: in the future."),
        ({"until": ago(100_000), "since": ago(99_999)}, "until: not later than since."),
        ({"types": ("user.registered", "hour.passed")}, "types: sms takes no hour.passed."),
    ],
)
def test_what_makes_no_sense_is_refused_and_names_the_field(
    database: Database, more: dict[str, Any], text: str
) -> None:
    record(database, DAY, USER, name=SMS)
    with pytest.raises(DoesNotFit, match=f"^{text}$"):
        planning.plan(database, wanted(**more))


def test_a_type_that_neither_the_code_nor_the_log_has_is_refused(database: Database) -> None:
    with pytest.raises(DoesNotFit, match=r"^types: nobody knows user.registerd\.$"):
        planning.plan(database, wanted(types=("user.registerd",)))


def test_a_consumer_that_is_none_or_soon_none_is_sent_nothing(database: Database) -> None:
    with pytest.raises(NotKnown):
        planning.plan(database, wanted(consumer="nobody"))
    retire(database)
    with pytest.raises(NotPossible, match="retiring"):
        planning.plan(database, wanted())


def test_jobs_of_the_past_are_not_done_again(database: Database) -> None:
    kinds.declare(database)
    with pytest.raises(NotPossible, match="is a kind of jobs"):
        planning.plan(database, wanted(consumer=kinds.REPORT))


def test_one_without_an_end_runs_though_there_is_nothing_yet_and_one_with_an_end_is_done(database: Database) -> None:
    handle(database, SMS, 40)
    assert "done" == look(database, begin(database, SMS, until=ago(0))).state
    operation = begin(database, SMS)
    assert ("running", 0, False) == (
        look(database, operation).state, look(database, operation).total, place(database, operation).joined
    )  # fmt: skip


def test_what_was_asked_for_is_kept_and_told_in_the_audit(database: Database) -> None:
    since = ago(7_200)
    operation = look(database, begin(database, SMS, since, types=(USER,), rate=5.0))
    asked = {"consumer": SMS, "since": since.isoformat(), "until": None, "types": [USER], "rate": 5.0}
    assert ("consumer.backfill", 27, asked) == (operation.kind, operation.total, operation.request)
    with database.reading() as session:
        (deed,) = audit.page(session, audit.Filter(), before=None, limit=10)
    assert ("consumer.backfill", SMS, operation.id) == (deed.action, deed.target, deed.details["operation"])


def test_a_second_backfill_of_a_consumer_is_refused_and_the_running_one_named(database: Database) -> None:
    record(database, "#", name="other")
    first = begin(database, SMS)
    begin(database, "other")
    with pytest.raises(NotPossible, match=first):
        begin(database, SMS)


def test_of_several_that_begin_at_once_one_does(database: Database) -> None:
    barrier = Barrier(4)

    def one(_: int) -> bool:
        planned = planning.plan(database, wanted())
        barrier.wait(10)
        try:
            with database.transaction() as session:
                planning.start(session, planned, **ME)
        except NotPossible:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert [False, False, False, True] == sorted(pool.map(one, range(4)))


def test_only_a_stopped_backfill_goes_on_and_not_beside_another(database: Database) -> None:
    def resume(operation: str) -> str:
        with database.transaction() as session:
            return resuming.resume(session, operation, **ME).state

    first = begin(database, SMS)
    with pytest.raises(NotPossible, match="is running"):
        resume(first)
    with database.transaction() as session:
        replaying.stop(session, first, **ME)
        other = operations.add(session, operations.REPLAY, {}, operation_id=operations.new_id(), total=1).id
    assert pasts.stopped(database, first)
    with pytest.raises(NotPossible, match="Only a backfill of a consumer"):
        resume(other)
    second = begin(database, SMS)
    with pytest.raises(NotPossible, match=second):
        resume(first)
    with database.transaction() as session:
        replaying.stop(session, second, **ME)
    assert pasts.stopped(database, second)
    assert "running" == resume(first)
    retire(database)
    with pytest.raises(NotPossible):
        resume(second)
