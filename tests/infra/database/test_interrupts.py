"""Rules of interrupted transactions: a handler over its time leaves neither SQLite's turn nor its lock taken."""

import threading
import time
from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.middleware import TimeLimitExceeded
from sqlalchemy import text

from infra.database.engine import Database, connect
from infra.rabbitmq.time_limit import HandlerTimeLimit


@pytest.fixture
def limit() -> HandlerTimeLimit:
    made = HandlerTimeLimit()
    dramatiq.Broker(middleware=[made]).emit_before("worker_boot", None)
    return made


@pytest.fixture
def other(database_url: str) -> Iterator[Database]:
    """The database as another process has it."""
    made = connect(database_url)
    yield made
    made.close()


def write(database: Database) -> None:
    with database.transaction() as session:
        session.connection().execute(text("UPDATE lease SET holder = 'x'"))


def hold(database: Database, held: threading.Event, seconds: float) -> None:
    with database.transaction() as session:
        session.connection().execute(text("UPDATE lease SET holder = 'x'"))
        held.set()
        time.sleep(seconds)  # as a slow handler does: nothing is waited for here


def write_and_never_end(database: Database) -> None:
    with database.transaction() as session:
        session.connection().execute(text("UPDATE lease SET holder = 'x'"))
        while True:
            time.sleep(0.001)


@pytest.mark.parametrize("in_same_process", [True, False])
def test_an_interrupt_while_waiting_for_the_turn_or_the_lock_leaves_them_free(
    database: Database, other: Database, limit: HandlerTimeLimit, monkeypatch: pytest.MonkeyPatch, in_same_process: bool
) -> None:
    held = threading.Event()
    holder = threading.Thread(target=hold, args=(database if in_same_process else other, held, 1.0))
    holder.start()
    assert held.wait(10)
    with pytest.raises(TimeLimitExceeded):
        limit.call(write_and_never_end, database, 0.1)
    holder.join(10)

    monkeypatch.setattr("infra.database.group_commit.PATIENCE", 2.0)
    write(database)
    write(other)


def test_a_handler_interrupted_in_its_transaction_leaves_nothing_behind(
    database: Database, limit: HandlerTimeLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TimeLimitExceeded):
        limit.call(write_and_never_end, database, 0.1)
    monkeypatch.setattr("infra.database.group_commit.PATIENCE", 2.0)
    write(database)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python drops one raised in a finalizer
def test_interrupts_at_any_moment_leave_the_turn_free(sqlite_url: str, limit: HandlerTimeLimit) -> None:
    """Fire at writers all the time, as if each of their transactions took too long."""
    database = connect(sqlite_url)
    end = time.monotonic() + 2.0
    escaped = list[BaseException]()

    def work() -> None:
        while time.monotonic() < end:
            try:
                limit.call(write, database, 0.0)
            except TimeLimitExceeded:
                continue
            except BaseException as error:  # noqa: BLE001  # what this test is about
                escaped.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        limit._interrupt_overdue(float("inf"))
        time.sleep(0.0005)
    for thread in threads:
        thread.join(10)
    assert [] == escaped
    write(database)
    database.close()
