"""The bell: the relay of one process hears at once what another process added to SQLite's outbox."""

import asyncio
from pathlib import Path

import pytest

from infra.database.bell import Bell
from infra.database.engine import connect


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def test_who_answers_is_woken_by_another_process(file: Path) -> None:
    async def main() -> None:
        ours, theirs, heard = Bell(file), Bell(file), asyncio.Event()
        with ours.answering(heard.set):
            ours.ring()  # its own events are told without a socket
            theirs.ring()
            await asyncio.wait_for(heard.wait(), 5)
        for bell in (ours, theirs):
            bell.close()

    asyncio.run(main())


def test_whoever_answered_last_is_woken(file: Path) -> None:
    async def main() -> None:
        first, second, ringer, heard = Bell(file), Bell(file), Bell(file), asyncio.Event()
        with first.answering(lambda: None), second.answering(heard.set):
            ringer.ring()
            await asyncio.wait_for(heard.wait(), 5)
        for bell in (first, second, ringer):
            bell.close()

    asyncio.run(main())


def test_ringing_never_waits_for_a_listener(file: Path) -> None:
    async def main() -> None:
        deaf, ringer = Bell(file), Bell(file)
        ringer.ring()  # nobody there
        with deaf.answering(lambda: None):
            for _ in range(5000):  # more than the socket holds, and the loop does not run
                ringer.ring()
        for bell in (deaf, ringer):
            bell.close()

    asyncio.run(main())


def test_a_path_too_long_for_a_socket_is_no_error(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    database = connect(f"sqlite:///{folder}/x.db")
    assert database.bell is not None

    async def main() -> None:
        assert database.bell is not None
        with database.bell.answering(lambda: None):
            database.bell.ring()

    asyncio.run(main())
    database.close()
