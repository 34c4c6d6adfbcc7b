"""Queues that the broker was found without, written down for the sweep: what waited in them is gone."""

import asyncio
from datetime import datetime
from functools import partial

import structlog

from infra.database import emptied
from infra.database.engine import Database

_log = structlog.get_logger(__name__)


async def write_down(database: Database, made: dict[str, datetime]) -> None:
    """Take them out of `made` when they are in the database; until then they stay, whatever happens.

    Raises:
        DatabaseUnavailable: the database is away.
    """
    if taken := dict(made):
        _tell(await asyncio.wrap_future(database.submit(partial(emptied.note, made=taken))))
        _take(taken, made)


def write_down_now(database: Database, made: dict[str, datetime]) -> None:
    """The same, for threads.

    Raises:
        DatabaseUnavailable: the database is away.
    """
    if taken := dict(made):
        _tell(database.run(partial(emptied.note, made=taken)))
        _take(taken, made)


def _take(taken: dict[str, datetime], made: dict[str, datetime]) -> None:
    for queue, at in taken.items():
        found = made.pop(queue, None)  # in one step: several threads take from it, and one adds to it
        if found is not None and found != at:  # it was made once more meanwhile
            made.setdefault(queue, found)


def _tell(queues: list[str]) -> None:
    if queues:
        _log.warning("queues were missing and are made again", queues=queues)
