"""The bell: the relay of one process hears at once what another process added to the outbox."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.database import datagrams, outbox
from infra.database.bell import Bell
from infra.database.engine import Database, connect
from tests.relays import add, registered
from tests.waiting import until


class Ear:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self) -> None:
        self.heard += 1

    async def until(self, count: int) -> None:
        """Wait for so many rings, the one at the start included; the loop goes on meanwhile."""
        await asyncio.to_thread(until, lambda: self.heard >= count, what=f"ring {count}")


@pytest.fixture
def other(database_url: str) -> Iterator[Database]:
    """The same database, as another process has it."""
    connected = connect(database_url)
    yield connected
    connected.close()


@pytest.fixture
def rings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks at SQLite's file meanwhile."""
    monkeypatch.setattr(datagrams, "POLL", 60)


@asynccontextmanager
async def listening(bell: Bell) -> AsyncIterator[Ear]:
    """An ear that can hear by now."""
    ear = Ear()
    task = asyncio.create_task(bell.listen(ear))
    try:
        await ear.until(1)
        yield ear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_who_listens_hears_each_commit_of_another_process_that_added_events(
    database: Database, other: Database
) -> None:
    async def main() -> None:
        async with listening(database.bell) as ear:
            for count in (2, 3):
                add(other, [registered()])
                await ear.until(count)

    asyncio.run(main())


@pytest.mark.usefixtures("rings_only")
def test_a_transaction_that_is_rolled_back_or_adds_nothing_rings_for_nobody(
    database: Database, other: Database
) -> None:
    async def main() -> None:
        async with listening(database.bell) as ear:
            with suppress(RuntimeError), other.transaction() as session:
                outbox.add(session, registered())
                raise RuntimeError
            with other.transaction() as session:
                session.connection().execute(text("DELETE FROM lease"))
            add(other, [registered()])
            await ear.until(2)
            assert ear.heard == 2

    asyncio.run(main())


@pytest.mark.usefixtures("rings_only")
def test_the_listening_process_does_not_ring_for_itself_and_rings_again_when_it_has_ended(
    database: Database, other: Database
) -> None:
    async def main() -> None:
        async with listening(database.bell) as own:
            add(database, [registered()])
            add(other, [registered()])
            await own.until(2)
            assert own.heard == 2
        async with listening(other.bell) as ear:
            add(database, [registered()])
            await ear.until(2)

    asyncio.run(main())


def test_ringing_with_nobody_there_is_no_error(database: Database) -> None:
    database.bell.ring()


def test_ringing_never_waits_for_a_listener_that_is_busy(sqlite_url: str) -> None:
    deaf, ringer = connect(sqlite_url), connect(sqlite_url)

    async def main() -> None:
        async with listening(deaf.bell):
            for _ in range(5000):  # more than the socket holds, and the loop does not run
                ringer.bell.ring()

    asyncio.run(main())
    deaf.close()
    ringer.close()


def test_of_two_that_listen_on_sqlite_the_last_is_woken(sqlite_url: str) -> None:
    first, second, ringer = (connect(sqlite_url) for _ in range(3))

    async def main() -> None:
        async with listening(first.bell), listening(second.bell) as ear:
            ringer.bell.ring()
            await ear.until(2)

    asyncio.run(main())
    for database in (first, second, ringer):
        database.close()


def test_where_nobody_can_ring_each_commit_is_heard_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)  # a path too long for a socket
    database, other = (connect(f"sqlite:///{folder}/x.db") for _ in range(2))

    async def main() -> None:
        async with listening(database.bell) as ear:
            other.bell.ring()
            for count, statement in ((2, "CREATE TABLE x (y)"), (3, "INSERT INTO x VALUES (1)")):
                with other.transaction() as session:
                    session.connection().execute(text(statement))
                await ear.until(count)

    asyncio.run(main())
    database.close()
    other.close()


def test_who_listens_on_postgresql_connects_again_and_is_woken_for_what_it_missed(postgres_url: str) -> None:
    database, other = connect(postgres_url), connect(postgres_url)
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    async def main() -> None:
        async with listening(database.bell) as ear:
            with other.reading() as session:
                session.connection().execute(text(end))
            await ear.until(2)
            other.bell.ring()
            await ear.until(3)

    asyncio.run(main())
    database.close()
    other.close()


def test_ringing_is_no_error_while_postgresql_is_away() -> None:
    database = connect("postgresql://nobody@127.0.0.1:1/none")
    database.bell.ring()
    database.close()
