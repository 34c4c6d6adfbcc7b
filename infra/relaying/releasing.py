"""Releasing what had to wait: a commit between the look into the outbox and the publish, which ends every cancelling.

The relay reads without a lock, and what it read may be cancelled or moved before it is published. So a row that was
held back is marked first: only one of the two statements, this one and that of the cancelling, finds it as it was.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from infra.database import outbox
from infra.database.engine import Database
from infra.database.outbox import Due


async def released(database: Database, rows: Sequence[Due]) -> list[Due]:
    """What of these may be published: all that need not wait, and what had to and is there still.

    Raises:
        DatabaseUnavailable: the database is away; nothing may be published.
    """
    held = [row.sequence for row in rows if row.held]
    if not held:
        return list(rows)
    bodies = await asyncio.wrap_future(database.submit(lambda session: outbox.release(session, held)))
    return [_as_it_is(row, bodies) for row in rows if not row.held or row.sequence in bodies]


def _as_it_is(row: Due, bodies: dict[int, str]) -> Due:
    """A move writes the event's time into its body, too."""
    return replace(row, body=bodies[row.sequence], held=False) if row.held else row
