"""Writing from a request: on the one writer thread, together with all requests that wait, and not for ever."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from gateway.problems import Unavailable
from infra.database.engine import Database

T = TypeVar("T")
#: Seconds.
DEADLINE = 10.0


async def write(database: Database, work: Callable[[Session], T]) -> T:
    """Run the function in a transaction and return when it is on disk.

    Raises:
        Unavailable: it was not in time. It may still be written, so a client should send an Idempotency-Key.
    """
    try:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.wrap_future(database.submit(work))
    except TimeoutError:
        raise Unavailable("The database is too slow.", headers={"Retry-After": "5"}) from None
