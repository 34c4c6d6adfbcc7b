"""Writing from a request: on the one writer thread, together with all requests that wait, and not for ever."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlmodel import Session

from gateway.problems import Unavailable
from infra.database.engine import Database
from infra.faults import failpoint

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
            result = await asyncio.wrap_future(database.submit(partial(_work, work)))
    except TimeoutError:
        raise Unavailable("The database is too slow.", headers={"Retry-After": "5"}) from None
    failpoint("gateway.after-commit")
    return result


def _work(work: Callable[[Session], T], session: Session) -> T:
    result = work(session)
    failpoint("gateway.before-commit")
    return result
