"""The cleaning as a consumer: it removes what is old, tells how much that was, and asks for more time."""

from datetime import UTC, datetime

import pytest

from consumers import cleaning
from events.cleaning import CleaningEnded, CleaningRequested
from events.envelope import Envelope, announce, decode, encode
from infra.cleaning.cleaning import BATCH
from infra.database import outbox
from infra.database.engine import Database
from infra.database.tables import Activity
from infra.delivery import Deliveries
from infra.outcomes import Done, Incoming
from infra.settings import Settings
from infra.subscriptions import Subscription
from tests.oldrows import DAY, Rows


def clean(database: Database, **settings: str) -> list[Envelope]:
    """Deliver a request twice; gives what was announced."""
    requested = request()
    return [deliver(database, requested, **settings) for _ in range(2)][1]


def request() -> Envelope:
    return announce(CleaningRequested(due_at=datetime.now(UTC)), source="/scheduler")


def deliver(database: Database, requested: Envelope, **settings: str) -> list[Envelope]:
    """Deliver a request; gives all that was announced by then."""
    provisions = {Settings: Settings.model_validate(settings), Database: database}
    subscription = Subscription("cleaning", ("cleaning.requested",), cleaning.clean)
    assert [Done()] == Deliveries(database, {}, provisions=provisions).handler(subscription)(
        [Incoming(encode(requested))]
    )
    with database.reading() as session:
        return [decode(row.body.encode()) for row in outbox.due(session, 10)]


def test_what_was_removed_is_announced_once(database: Database) -> None:
    rows = Rows(database)
    rows.activity(3 * DAY, 3 * DAY, DAY)
    (ended,) = clean(database, keep_activity="2d")
    assert isinstance(ended.data, CleaningEnded)
    assert ({"activity": 2}, True, []) == (ended.data.removed, ended.data.is_complete, ended.data.waits_for)
    assert [1] == rows.count(Activity)


def test_a_pass_without_anything_to_do_is_announced_too(database: Database) -> None:
    (ended,) = clean(database)
    assert isinstance(ended.data, CleaningEnded)
    assert ({}, True) == (ended.data.removed, ended.data.is_complete)


def test_what_a_pass_has_no_time_for_is_left_to_one_that_follows_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    Rows(database).activity(*[200 * DAY] * 1_200)
    monkeypatch.setattr(cleaning, "LONGEST", 0.0)
    ended, requested = deliver(database, request())
    assert isinstance(ended.data, CleaningEnded)
    assert ({"activity": BATCH}, False) == (ended.data.removed, ended.data.is_complete)
    assert isinstance(requested.data, CleaningRequested)
    monkeypatch.undo()
    *_, last = deliver(database, requested)
    assert isinstance(last.data, CleaningEnded)
    assert ({"activity": 1_200 - BATCH}, True) == (last.data.removed, last.data.is_complete)


def test_a_pass_that_could_do_nothing_leaves_the_rest_to_the_next_tick(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(database)
    rows.log((1, 200 * DAY), (2, 200 * DAY))
    rows.consumer(scanned=2)
    rows.unsettled(1)
    monkeypatch.setattr(cleaning, "LONGEST", 0.0)
    (ended,) = clean(database)
    assert isinstance(ended.data, CleaningEnded)
    assert ({}, False) == (ended.data.removed, ended.data.is_complete)
