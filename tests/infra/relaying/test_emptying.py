"""Queues that were made anew stay in memory until they are in the database, however many write them down at once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.database import emptied
from infra.database.engine import Database
from infra.relaying import emptying
from tests.eventlogs import fill

NOW = datetime.now(UTC)


class _TakenAfterALook(dict[str, datetime]):
    """What one thread looks at is taken by another in the next moment."""

    def get(self, key: str, default: Any = None) -> Any:
        found = super().get(key, default)
        self.pop(key, None)
        return found


def times(database: Database) -> dict[str, datetime]:
    with database.reading() as session:
        return emptied.times(session)


@pytest.mark.anyio
async def test_what_two_write_down_at_once_is_written_and_taken_once(database: Database) -> None:
    fill(database, 1)
    made = {"sms": NOW}
    await asyncio.gather(emptying.write_down(database, made), emptying.write_down(database, made))
    assert ({}, {"sms": NOW}) == (made, times(database))


@pytest.mark.anyio
async def test_what_is_made_once_more_while_it_is_written_down_stays_to_be_written(database: Database) -> None:
    fill(database, 1)
    made, again = {"sms": NOW, "tier": NOW}, NOW + timedelta(seconds=1)

    async def make_again() -> None:
        made["sms"] = again

    await asyncio.gather(emptying.write_down(database, made), make_again())
    assert ({"sms": again}, {"sms": NOW, "tier": NOW}) == (made, times(database))


def test_what_another_thread_takes_at_the_last_moment_is_no_fault(database: Database) -> None:
    made = _TakenAfterALook(sms=NOW)
    emptying.write_down_now(database, made)
    assert {} == made
