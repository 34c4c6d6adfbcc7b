"""A try that failed, to its outcome: what is decided is in the inbox, and nothing keeps it from an outcome."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.envelope import Envelope
from events.users import UserRegistered
from infra.database import inbox
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable, EffectRefused
from infra.failing import Failing
from infra.outcomes import Hold, Outcome, Park, RetryLater
from infra.retrying import Retry, RetryAfter
from infra.subscriptions import Context, Subscription
from tests.envelopes import ada

ADDRESS = "ada@example.com"


@pytest.fixture
def envelope() -> Envelope:
    return ada()


def handle(event: UserRegistered, context: Context) -> None:
    """Never called here: the tests say how it ended."""


def fail(
    database: Database, envelope: Envelope, error: BaseException, attempt: int = 1, retry: Retry = Retry.DEFAULT
) -> Outcome:
    subscription = Subscription("tested", ("user.registered",), handle, retry=retry)
    delivery = inbox.Delivery(envelope.id, "tested", attempt, datetime.now(UTC))
    return Failing(database).outcome(subscription, delivery, envelope.time, error)


def entry(database: Database, envelope: Envelope) -> Any:
    with database.reading() as session:
        (row,) = inbox.of_event(session, envelope.id)
        return row


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


def test_a_further_try_and_its_time_are_in_the_inbox(database: Database, envelope: Envelope) -> None:
    outcome = fail(database, envelope, ConnectionError("away"), attempt=2)
    assert (RetryLater(30, "ConnectionError: away"), 2) == (outcome, getattr(outcome, "attempt", None))
    row = entry(database, envelope)
    assert ("retrying", 2, None, "ConnectionError: away") == (row.state, row.attempts, row.handled_at, row.error)
    assert timedelta(seconds=1) > abs(row.retry_at - datetime.now(UTC) - timedelta(seconds=30))


def test_who_was_told_when_to_come_again_comes_then(database: Database, envelope: Envelope) -> None:
    assert RetryLater(30, "RetryAfter: asked to be tried again in 20 s") == fail(database, envelope, RetryAfter(20))


def test_what_is_given_up_says_of_whom_where_and_since_when(database: Database, envelope: Envelope) -> None:
    fail(database, envelope, ConnectionError("first"))
    first_at = entry(database, envelope).first_at
    outcome = fail(database, envelope, raised(EffectRefused("550 no")), attempt=2)
    assert isinstance(outcome, Park)
    assert ("handler-error", "EffectRefused: 550 no", "infra.errors.EffectRefused", first_at) == (
        outcome.reason,
        outcome.error,
        outcome.exception,
        outcome.first_at,
    )
    assert str(outcome.frame).endswith(" in raised")
    row = entry(database, envelope)
    assert ("dead", 2, None, "EffectRefused: 550 no") == (row.state, row.attempts, row.retry_at, row.error)


def test_an_event_past_its_age_is_given_up_as_too_old(database: Database, envelope: Envelope) -> None:
    outcome = fail(database, envelope, ConnectionError("away"), retry=Retry(max_age=1e-6))
    assert isinstance(outcome, Park)
    assert ("too-old", "dead") == (outcome.reason, entry(database, envelope).state)


def test_an_old_event_whose_tries_are_over_was_given_up_for_its_error(database: Database, envelope: Envelope) -> None:
    outcome = fail(database, envelope, EffectRefused("no"), retry=Retry(max_age=1e-6))
    assert isinstance(outcome, Park)
    assert "handler-error" == outcome.reason


def test_a_late_failure_does_not_undo_what_is_handled(database: Database, envelope: Envelope) -> None:
    """Of two copies one may fail after the other has done the work."""
    with database.transaction() as session:
        inbox.claim(session, inbox.Delivery(envelope.id, "tested", 1, datetime.now(UTC)))
    fail(database, envelope, ConnectionError("late"))
    row = entry(database, envelope)
    assert ("handled", None, None) == (row.state, row.error, row.retry_at)


def test_while_the_database_is_away_nothing_is_decided(
    database: Database, envelope: Envelope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "fail", _raises(DatabaseUnavailable("away")))
    assert Hold("away") == fail(database, envelope, ConnectionError())


def test_a_failure_that_cannot_be_written_is_decided_all_the_same(
    database: Database, envelope: Envelope, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The copy of the message says all of it, so no fault of the inbox may keep an event from its end."""
    monkeypatch.setattr(inbox, "fail", _raises(ValueError(ADDRESS)))
    assert RetryLater(5, "ConnectionError: away") == fail(database, envelope, ConnectionError("away"))
    outcome = fail(database, envelope, EffectRefused("no"))
    assert isinstance(outcome, Park)
    assert outcome.first_at is not None
    said = capfd.readouterr().out
    assert (True, False) == ("failure not recorded" in said, ADDRESS in said)


class Treacherous(Exception):
    """One that stumbles whenever anybody asks it something."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError(ADDRESS)

    def __str__(self) -> str:
        raise RuntimeError(ADDRESS)


def test_an_error_that_stumbles_itself_still_has_an_outcome(
    database: Database, envelope: Envelope, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes = [fail(database, envelope, Treacherous(), attempt) for attempt in (1, 5, 6)]
    assert [RetryLater, RetryLater, Park] == [type(outcome) for outcome in outcomes]
    assert ADDRESS not in capfd.readouterr().out


@pytest.mark.parametrize("said", ["a\x00b", "a\ud800b", "x" * 100_000])
def test_whatever_an_error_says_either_database_takes_it(database: Database, envelope: Envelope, said: str) -> None:
    outcome = fail(database, envelope, ConnectionError(said))
    assert isinstance(outcome, RetryLater)
    assert outcome.error == entry(database, envelope).error


def test_the_log_names_class_and_place_and_not_the_text(
    database: Database, envelope: Envelope, capfd: pytest.CaptureFixture[str]
) -> None:
    fail(database, envelope, raised(KeyError(ADDRESS)))
    said = capfd.readouterr().out
    assert [True, True, False] == [each in said for each in ("error=KeyError", "in raised", ADDRESS)]


def _raises(error: Exception) -> Any:
    def work(*_: object) -> None:
        raise error

    return work
