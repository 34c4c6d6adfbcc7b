"""What the relay reads: nothing falls between its two questions."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.database import outbox
from infra.database.engine import Database
from infra.relaying.reading import Reading
from tests.relays import add, registered
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_an_event_that_becomes_due_while_the_relay_looks_is_announced_as_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would wait for the next look of all, seconds later."""
    at = datetime.now(UTC) + timedelta(seconds=0.3)
    add(database, [registered()], at)
    ask = outbox.due

    def slowly(*question: Any, **more: Any) -> Sequence[outbox.Due]:
        found = ask(*question, **more)
        until(lambda: datetime.now(UTC) > at, what="the event's time")
        return found

    monkeypatch.setattr(outbox, "due", slowly)
    reading = Reading(database)
    try:
        assert ([], at) == await reading.due(10, [], [])
    finally:
        reading.close()
