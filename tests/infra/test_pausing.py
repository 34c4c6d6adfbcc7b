"""Failures that run on pause a consumer in every process; one probe at a time finds out when it may go on."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import time_machine

from infra.database import pauses
from infra.database.engine import Database
from infra.database.pauses import OPERATOR
from infra.database.recovery_tables import Pause
from infra.errors import DatabaseUnavailable
from infra.outcomes import Done, Hold, Outcome, Park, RetryLater
from infra.pausing import Pausing
from infra.rabbitmq.modes import Mode
from infra.subscriptions import Subscription

SMS, MAIL = "sms", "mail"
FAILURE = RetryLater(5, "EffectFailed: quotes ada@example.com", "infra.errors.EffectFailed")
AGAIN = RetryLater(30, "EffectFailed", "infra.errors.EffectFailed", attempt=2)
UNREADABLE = Park("not-json", "not JSON")


class Process:
    """A process with two consumers, whose lanes do what they are told at once."""

    def __init__(self, database: Database, holder: str = "one", pause_after: int | None = 3) -> None:
        self.on_ended: Callable[[str, Outcome], None] | None = None
        self.modes = {SMS: Mode.RUNNING, MAIL: Mode.RUNNING}
        self.busy = False
        subscriptions = [Subscription(name, ("t",), _unused, pause_after=pause_after) for name in self.modes]
        self.pausing = Pausing(database, self, subscriptions, holder=holder)

    def turn(self, consumer: str, mode: Mode) -> None:
        self.modes[consumer] = mode

    def is_busy(self, consumer: str) -> bool:
        return self.busy or self.modes[consumer] is Mode.PROBING

    def end(self, *outcomes: Outcome) -> Mode:
        """Let deliveries of one consumer end so, and look at the table."""
        assert self.on_ended is not None
        for outcome in outcomes:
            if self.modes[SMS] is Mode.PROBING:  # as a lane does when the probe's message has come
                self.modes[SMS] = Mode.PAUSED
            self.on_ended(SMS, outcome)
        return self.look()

    def look(self) -> Mode:
        self.pausing.look()
        return self.modes[SMS]


@pytest.fixture
def process(database: Database) -> Process:
    return Process(database)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(datetime.now(UTC), tick=False) as traveller:
        yield traveller


def row_of(database: Database) -> Pause | None:
    with database.reading() as session:
        return pauses.paused(session).get(SMS)


def by_operator(database: Database, *, pause: bool) -> None:
    with database.transaction() as session:
        assert pauses.pause(session, SMS, OPERATOR, "maintenance") if pause else pauses.resume(session, SMS)


def test_failures_in_a_row_pause_the_consumer_and_no_other(process: Process, database: Database) -> None:
    assert Mode.RUNNING is process.end(FAILURE, FAILURE)
    assert Mode.PAUSED is process.end(FAILURE)
    assert Mode.RUNNING is process.modes[MAIL]
    row = row_of(database)
    assert row is not None
    assert ("failures", "3 failures in a row, the last of them infra.errors.EffectFailed") == (row.by, row.reason)
    assert {SMS: "paused itself after failures in a row"} == process.pausing.paused


def test_the_lane_is_turned_at_the_last_failure_before_the_table_is_written(process: Process) -> None:
    assert process.on_ended is not None
    for _ in range(3):
        process.on_ended(SMS, FAILURE)
    assert Mode.PAUSED is process.modes[SMS]


def test_a_success_between_them_begins_the_count_anew(process: Process) -> None:
    assert Mode.RUNNING is process.end(FAILURE, FAILURE, Done(), FAILURE, FAILURE)
    assert Mode.PAUSED is process.end(FAILURE)


@pytest.mark.parametrize("outcome", [Park("handler-error", "e"), Park("too-old", "e"), FAILURE])
def test_what_the_handler_failed_at_counts_however_it_ends(process: Process, outcome: Outcome) -> None:
    assert Mode.PAUSED is process.end(outcome, outcome, outcome)


@pytest.mark.parametrize("outcome", [UNREADABLE, Park("unknown-type", "e"), Park("too-large", "e"), Hold("away")])
def test_what_says_nothing_of_the_consumer_neither_counts_nor_ends_the_row(process: Process, outcome: Outcome) -> None:
    """Or hostile messages could pause a consumer, or keep a broken one going."""
    assert Mode.RUNNING is process.end(*[outcome] * 50)
    assert Mode.RUNNING is process.end(FAILURE, FAILURE)
    assert Mode.PAUSED is process.end(outcome, FAILURE)


@pytest.mark.parametrize("outcome", [AGAIN, Park("handler-error", "e", attempt=6)])
def test_an_event_that_fails_again_says_nothing_of_the_consumer(process: Process, outcome: Outcome) -> None:
    """Or bad events that come back from their tier together would stop the good ones."""
    assert Mode.RUNNING is process.end(*[outcome] * 50)
    assert Mode.RUNNING is process.end(FAILURE, FAILURE)
    assert Mode.PAUSED is process.end(outcome, FAILURE)


def test_a_consumer_may_say_never(database: Database) -> None:
    assert Mode.RUNNING is Process(database, pause_after=None).end(*[FAILURE] * 100)


def test_every_process_follows(process: Process, database: Database) -> None:
    other = Process(database, "two")
    process.end(FAILURE, FAILURE, FAILURE)
    assert Mode.PAUSED is other.look()


def test_after_thirty_seconds_one_process_tries_one_message(
    process: Process, database: Database, clock: time_machine.Traveller
) -> None:
    other = Process(database, "two")
    process.end(FAILURE, FAILURE, FAILURE)
    clock.shift(29)
    assert (Mode.PAUSED, Mode.PAUSED) == (process.look(), other.look())
    clock.shift(1)
    assert (Mode.PROBING, Mode.PAUSED) == (other.look(), process.look())


def test_a_probe_that_ends_well_lets_every_process_go_on(
    process: Process, database: Database, clock: time_machine.Traveller
) -> None:
    other = Process(database, "two")
    process.end(FAILURE, FAILURE, FAILURE)
    clock.shift(30)
    process.look()
    assert (Mode.RUNNING, Mode.RUNNING) == (process.end(Done()), other.look())
    assert (None, {}) == (row_of(database), process.pausing.paused)
    assert Mode.RUNNING is process.end(FAILURE, FAILURE)  # and the count begins anew


def test_a_probe_that_fails_is_followed_by_another_after_thirty_seconds(
    process: Process, clock: time_machine.Traveller
) -> None:
    process.end(FAILURE, FAILURE, FAILURE)
    for _ in range(3):
        clock.shift(30)
        assert Mode.PROBING is process.look()
        assert Mode.PAUSED is process.end(FAILURE)
        clock.shift(29)
        assert Mode.PAUSED is process.look()
        clock.shift(-29)


@pytest.mark.parametrize("outcome", [UNREADABLE, AGAIN])
def test_a_probe_that_says_nothing_is_followed_by_the_next_message_at_once(
    process: Process, clock: time_machine.Traveller, outcome: Outcome
) -> None:
    process.end(FAILURE, FAILURE, FAILURE)
    clock.shift(30)
    process.look()
    assert Mode.PROBING is process.end(outcome)
    assert Mode.PROBING is process.end(outcome, outcome)
    assert Mode.RUNNING is process.end(Done())


def test_a_probe_waits_for_a_message_for_as_long_as_it_takes(
    process: Process, database: Database, clock: time_machine.Traveller
) -> None:
    """A queue may be empty: then there is nothing to find out, and still only one process tries."""
    other = Process(database, "two")
    process.end(FAILURE, FAILURE, FAILURE)
    clock.shift(30)
    for _ in range(20):
        assert (Mode.PROBING, Mode.PAUSED) == (process.look(), other.look())
        clock.shift(10)
    assert Mode.RUNNING is process.end(Done())


def test_the_probe_of_a_process_that_died_is_taken_over(
    process: Process, database: Database, clock: time_machine.Traveller
) -> None:
    other = Process(database, "two")
    process.end(FAILURE, FAILURE, FAILURE)
    clock.shift(30)
    assert Mode.PROBING is process.look()
    clock.shift(30)
    assert Mode.PROBING is other.look()
    assert Mode.PAUSED is process.look()  # it was only slow


def test_a_probe_whose_message_was_lost_is_made_again(process: Process, clock: time_machine.Traveller) -> None:
    """It went back to the queue with the connection, before it had begun."""
    process.end(FAILURE, FAILURE, FAILURE)
    clock.shift(30)
    process.look()
    process.turn(SMS, Mode.PAUSED)
    assert Mode.PROBING is process.look()


def test_a_lane_that_is_still_at_work_takes_no_probe(process: Process, clock: time_machine.Traveller) -> None:
    """What ends then would be taken for the probe's message."""
    process.end(FAILURE, FAILURE, FAILURE)
    process.busy = True
    clock.shift(30)
    assert Mode.PAUSED is process.look()
    process.busy = False
    assert Mode.PROBING is process.look()


def test_what_was_in_flight_when_it_paused_lets_nothing_go_on(process: Process, database: Database) -> None:
    process.end(FAILURE, FAILURE, FAILURE)
    assert Mode.PAUSED is process.end(Done(), FAILURE, Done())
    assert row_of(database) is not None


def test_an_operators_pause_is_never_probed_and_ends_by_an_operator(
    process: Process, database: Database, clock: time_machine.Traveller
) -> None:
    by_operator(database, pause=True)
    assert Mode.PAUSED is process.look()
    clock.shift(3_600)
    assert Mode.PAUSED is process.end(Done())
    assert {SMS: "paused by an operator"} == process.pausing.paused
    by_operator(database, pause=False)
    assert Mode.RUNNING is process.look()


def test_an_operators_pause_ends_a_probe_under_way(
    process: Process, database: Database, clock: time_machine.Traveller
) -> None:
    process.end(FAILURE, FAILURE, FAILURE)
    clock.shift(30)
    process.look()
    by_operator(database, pause=True)
    assert Mode.PAUSED is process.end(Done())
    row = row_of(database)
    assert row is not None
    assert OPERATOR == row.by


def test_an_operator_lets_a_consumer_go_on_that_paused_itself_and_it_may_pause_again(
    process: Process, database: Database
) -> None:
    process.end(FAILURE, FAILURE, FAILURE)
    by_operator(database, pause=False)
    assert Mode.RUNNING is process.look()
    assert Mode.RUNNING is process.end(FAILURE, FAILURE)
    assert Mode.PAUSED is process.end(FAILURE)


def test_while_the_database_is_away_the_lanes_stay_as_they_are_and_the_pause_is_written_later(
    process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise DatabaseUnavailable("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(database, "transaction", away)
        patch.setattr(database, "reading", away)
        assert Mode.PAUSED is process.end(FAILURE, FAILURE, FAILURE)
        assert Mode.PAUSED is process.look()
    assert Mode.PAUSED is process.look()
    assert row_of(database) is not None


def test_a_running_process_looks_by_itself_and_ends_when_told(process: Process, database: Database) -> None:
    process.pausing.start()
    process.pausing.stop()
    assert not process.pausing._thread.is_alive()


def _unused(*_: object) -> None:
    raise AssertionError("no handler is called here")
