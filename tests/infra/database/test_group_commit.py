"""Group commit on SQLite: the members share one flush, and share its failure."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from infra.database.group_commit import Member, SharedWriter, Turn
from tests.waiting import until


class Watched(sqlite3.Connection):
    """Counts commits, and fails the first ones if told."""

    commits = 0
    fail = 0

    def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.commits += 1
            if self.fail:
                self.fail -= 1
                raise sqlite3.OperationalError("disk is full")
        return super().execute(sql, *rest)  # type: ignore[arg-type]


@pytest.fixture
def connection(tmp_path: Path) -> Watched:
    made = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False, factory=Watched)
    made.execute("CREATE TABLE t (a)")
    return made


def rows(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    return count


def _add_behind(writer: SharedWriter, first_in: threading.Event, waiting: int) -> None:
    """The first member holds the turn until the others wait, so that they all fall into one group."""
    member = Member(writer)
    member.begin()
    first_in.set()
    until(lambda: len(writer._turn._waiting) >= waiting, what="the others waiting")
    member.cursor().execute("INSERT INTO t VALUES (0)")
    member.commit()


def _add(writer: SharedWriter, first_in: threading.Event) -> None:
    first_in.wait()
    member = Member(writer)
    member.begin()
    member.cursor().execute("INSERT INTO t VALUES (1)")
    member.commit()


def _together(writer: SharedWriter, others: int) -> list[BaseException | None]:
    first_in = threading.Event()
    with ThreadPoolExecutor(others + 1) as pool:
        futures = [pool.submit(_add_behind, writer, first_in, others)]
        futures += [pool.submit(_add, writer, first_in) for _ in range(others)]
        return [future.exception(10) for future in futures]


def test_who_waits_together_is_committed_together(connection: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.database.group_commit.LONGEST", 10.0)
    errors = _together(SharedWriter(connection, None), 7)
    assert [None] * 8 == errors
    assert (8, 1) == (rows(connection), connection.commits)


def test_a_commit_that_fails_fails_all_of_its_members(connection: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.database.group_commit.LONGEST", 10.0)
    connection.fail = 1
    errors = _together(SharedWriter(connection, None), 5)
    assert all(isinstance(error, sqlite3.OperationalError) for error in errors)
    assert 0 == rows(connection)


def test_after_a_failed_commit_the_next_one_works(connection: Watched) -> None:
    connection.fail = 1
    writer = SharedWriter(connection, None)
    assert [sqlite3.OperationalError, type(None)] == [
        type(_together(writer, 0)[0]),
        type(_together(writer, 0)[0]),
    ]
    assert 1 == rows(connection)


def test_a_group_is_bounded_in_time(connection: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an endless queue would keep the first one waiting for ever."""
    monkeypatch.setattr("infra.database.group_commit.LONGEST", 0.0)
    _together(SharedWriter(connection, None), 3)
    assert (4, 4) == (rows(connection), connection.commits)


def _waits_as(turn: Turn, number: int) -> bool:
    return len(turn._waiting) > number


def test_the_turn_comes_in_the_order_of_asking() -> None:
    turn, order = Turn(), []
    assert turn.take(1)

    def ask(number: int) -> None:
        turn.take(10)
        order.append(number)
        turn.give()

    threads = []
    for number in range(5):
        thread = threading.Thread(target=ask, args=(number,))
        thread.start()
        threads.append(thread)
        until(partial(_waits_as, turn, number), what="the thread waiting")
    turn.give()
    for thread in threads:
        thread.join(10)
    assert [0, 1, 2, 3, 4] == order


def test_who_gives_up_waiting_is_not_given_the_turn() -> None:
    turn = Turn()
    assert turn.take(1)
    assert not turn.take(0.01)
    assert not turn.hand_on()
    turn.give()
    assert turn.take(0.01)


def test_sqlite_giving_a_transaction_up_fails_the_whole_group(connection: Watched) -> None:
    """On some errors (disk full, I/O) SQLite rolls all of it back by itself."""
    writer = SharedWriter(connection, None)
    member = Member(writer)
    member.begin()
    member.cursor().execute("INSERT INTO t VALUES (1)")
    connection.execute("ROLLBACK")
    with pytest.raises(sqlite3.OperationalError, match="gave the transaction up"):
        member.commit()
    assert 0 == rows(connection)
    assert [None] == _together(writer, 0)
