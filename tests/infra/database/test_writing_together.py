"""What waits for the writer at the same moment is written in few statements, and each piece fails for itself alone."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from infra.database import erasures, inbox, writer
from infra.database.engine import Database
from infra.database.session import add_rows, known
from infra.database.tables import Inbox, Lease, table
from infra.database.writer import refused
from tests.waiting import until

LEASE, INBOX = table(Lease), table(Inbox)
INSERT = insert(LEASE)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def add(session: Session, name: str) -> None:
    add_rows(session, INSERT, [{"name": name, "holder": "me", "expires_at": LATER}])


def names(session: Session) -> set[str]:
    return set(session.connection().execute(select(LEASE.c.name)).scalars())


def stored(database: Database) -> set[str]:
    with database.reading() as session:
        return names(session)


@contextlib.contextmanager
def together(database: Database) -> Iterator[None]:
    """Let what is submitted meanwhile wait, so that it is written at once."""
    gate, reached = threading.Event(), threading.Event()

    def wait(session: Session) -> None:
        reached.set()
        assert gate.wait(30)

    first = database.submit(wait)
    assert reached.wait(30)
    try:
        yield
    finally:
        gate.set()
        first.result(30)


@contextlib.contextmanager
def inserts(database: Database) -> Iterator[list[int]]:
    """How many rows each insert into `lease` had."""
    counted: list[int] = []

    def count(_c: Any, statement: Any, several: Sequence[Any], *_: Any) -> None:
        if statement is INSERT:
            counted.append(max(1, len(several)))

    event.listen(database.engine, "before_execute", count)
    try:
        yield counted
    finally:
        event.remove(database.engine, "before_execute", count)


def submitted(database: Database, *works: Callable[[Session], Any]) -> list[Any]:
    with together(database):
        futures = [database.submit(work) for work in works]
    return [future.exception(30) or future.result() for future in futures]


def test_rows_of_many_are_added_in_one_statement(database: Database) -> None:
    with inserts(database) as counted:
        submitted(database, *(lambda session, n=n: add(session, f"n{n}") for n in range(20)))
    assert [20] == counted
    assert {f"n{n}" for n in range(20)} == stored(database)


def test_while_many_write_a_small_transaction_waits_for_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(database, lambda session: add(session, "a"), lambda session: add(session, "b"))
    monkeypatch.setattr(writer, "_LINGER", 0.5)
    with inserts(database) as counted:
        first = database.submit(lambda session: add(session, "c"))
        until(lambda: first.running() or database._writer._pieces.empty(), what="its turn")
        second = database.submit(lambda session: add(session, "d"))
        assert (None, None) == (first.result(30), second.result(30))
    assert [2] == counted


def test_who_writes_alone_waits_for_nobody(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LINGER", 20.0)
    assert [None, None] == [database.submit(lambda session, n=n: add(session, n)).result(30) for n in "ab"]  # type: ignore[misc]


def test_in_a_transaction_of_its_own_rows_are_added_at_once(database: Database) -> None:
    with inserts(database) as counted, database.transaction() as session:
        add(session, "mine")
        assert [1] == counted


def test_whoever_asks_sees_what_was_added_before(database: Database) -> None:
    def look(session: Session) -> set[str]:
        add(session, "mine")
        return names(session)

    assert [None, {"first", "mine"}] == submitted(database, lambda session: add(session, "first"), look)


def test_whoever_asks_through_the_session_sees_it_too(database: Database) -> None:
    def look(session: Session) -> set[str]:
        add(session, "mine")
        return set(session.scalars(select(LEASE.c.name)))

    assert [{"mine"}] == submitted(database, look)


def test_what_is_added_in_a_part_is_undone_with_it_and_nothing_else(database: Database) -> None:
    def partly(session: Session) -> None:
        add(session, "before")
        with contextlib.suppress(ArithmeticError), session.begin_nested():
            add(session, "inside")
            raise ArithmeticError
        with contextlib.suppress(ArithmeticError), session.begin_nested():
            assert {"first", "before"} == names(session)
            raise ArithmeticError
        add(session, "after")

    submitted(database, lambda session: add(session, "first"), partly)
    assert {"first", "before", "after"} == stored(database)


def test_what_is_known_is_known_until_the_next_statement(database: Database) -> None:
    with database.transaction() as session:
        known(session)["a"] = 1
        add(session, "x")
        assert {"a": 1} == known(session)
        names(session)
        assert {} == known(session)


def test_a_row_that_cannot_be_added_fails_only_whoever_added_it(database: Database) -> None:
    def twice(session: Session) -> None:
        add(session, "twice")
        add(session, "twice")

    adds = [lambda session, n=n: add(session, f"n{n}") for n in range(4)]
    found = submitted(database, *adds[:2], twice, *adds[2:])
    assert [None, None, None, None] == found[:2] + found[3:]
    assert isinstance(found[2], IntegrityError)
    assert {"n0", "n1", "n2", "n3"} == stored(database)


def test_what_a_failing_piece_added_is_not_left_for_the_next_one(database: Database) -> None:
    def fail(session: Session) -> None:
        add(session, "lost")
        raise ArithmeticError

    found = submitted(database, fail, lambda session: add(session, "kept"))
    assert isinstance(found[0], ArithmeticError)
    assert {"kept"} == stored(database)


def test_a_session_of_somebody_elses_making_is_refused(database: Database) -> None:
    with Session(database.engine) as session, pytest.raises(TypeError, match="Database"):
        add(session, "x")


def joined(
    database: Database, function: Callable[[Session, Sequence[Any]], Sequence[Any]], items: list[Any]
) -> list[Any]:
    with ThreadPoolExecutor(len(items)) as pool:
        with together(database):
            futures = [pool.submit(database.join, function, item) for item in items]
            _wait_until_queued(database, len(items))
        return [future.exception(30) or future.result() for future in futures]


def _wait_until_queued(database: Database, many: int) -> None:
    pieces = database._writer._pieces
    done = threading.Event()
    while pieces.qsize() < many:
        assert not done.wait(0.01)


def test_those_that_join_are_given_to_their_function_at_once_and_get_their_own_results(database: Database) -> None:
    calls: list[int] = []

    def double(_: Session, items: Sequence[int]) -> list[int]:
        calls.append(len(items))
        return [2 * item for item in items]

    assert [0, 2, 4, 6, 8] == joined(database, double, [0, 1, 2, 3, 4])
    assert [5] == calls


def test_one_that_is_refused_says_why_and_the_others_are_written(database: Database) -> None:
    calls: list[int] = []

    def choose(session: Session, items: Sequence[str]) -> list[Any]:
        calls.append(len(items))
        for item in items:
            if item != "no":
                add(session, item)
        return [refused(LookupError(item)) if item == "no" else None for item in items]

    found = joined(database, choose, ["a", "no", "b"])
    assert [None, None] == [found[0], found[2]]
    assert isinstance(found[1], LookupError)
    assert ([3], {"a", "b"}) == (calls, stored(database))


def test_when_the_function_fails_each_is_written_alone(database: Database) -> None:
    def strict(session: Session, items: Sequence[str]) -> list[None]:
        for item in items:
            add(session, item)
        if "no" in items:
            raise LookupError("no")
        return [None for _ in items]

    found = joined(database, strict, ["a", "no", "b"])
    assert [None, None] == [found[0], found[2]]
    assert isinstance(found[1], LookupError)
    assert {"a", "b"} == stored(database)


def _delivery(event_id: str, subject: str | None = None) -> inbox.Delivery:
    return inbox.Delivery(event_id, "tested", 1, datetime.now(UTC), subject=subject)


def test_of_many_deliveries_each_event_is_claimed_once_whether_it_is_new_tried_done_or_erased(
    database: Database,
) -> None:
    new, tried, done, gone = (str(uuid4()) for _ in range(4))
    with database.transaction() as session:
        inbox.fail(session, _delivery(tried), "ValueError: no", LATER)
        assert inbox.claim(session, _delivery(done))
        erasures.begin(session, "somebody", datetime.now(UTC))
        these = [_delivery(each) for each in (new, tried, done, new)] + [_delivery(gone, "somebody")]
        found = inbox.claim_all(session, [(each, each.event_id == new) for each in these])
        assert [True, True, False, False, False] == found
        rows = session.connection().execute(select(INBOX.c.event_id, INBOX.c.state))
        states = {row.event_id: row.state for row in rows}
    assert {new: "committed", tried: "handled", done: "handled", gone: "erased"} == states


def test_deliveries_that_are_new_are_claimed_in_one_statement(database: Database) -> None:
    these = [(_delivery(str(uuid4())), False) for _ in range(30)]
    statements: list[str] = []
    with database.transaction() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", lambda *said: statements.append(said[2]))
        assert [True] * 30 == inbox.claim_all(session, these)
        assert 30 == connection.execute(select(func.count()).select_from(INBOX)).scalar()
    assert 2 == len(statements)
