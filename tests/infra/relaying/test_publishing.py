"""The relay as programs run it."""

import asyncio
from contextlib import suppress

from sqlalchemy import select

from infra.database.engine import Database
from infra.database.tables import Lease, table
from infra.relaying.publishing import Publishing
from tests.waiting import until


def test_two_programs_with_the_same_host_and_process_number_do_not_take_each_other_for_themselves(
    database: Database,
) -> None:
    """Containers that share the host's name are each its process 1: one lease for both would make both active."""
    assert asyncio.run(_holder(database)) != asyncio.run(_holder(database))


async def _holder(database: Database) -> str:
    publishing = Publishing(database, "amqp://nobody@127.0.0.1:1/x", program="gateway")
    task = asyncio.create_task(publishing.run())
    await asyncio.to_thread(until, lambda: publishing.state != "standby", what="the lease")
    with database.reading() as session:
        holder: str = session.connection().execute(select(table(Lease).c.holder)).scalar_one()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return holder
