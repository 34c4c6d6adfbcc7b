"""The end of a relay."""

import asyncio
from contextlib import suppress

import pytest

from infra.relaying import publishing


def test_a_relay_that_loses_a_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does when it is cancelled at the moment at which the broker confirms."""
    monkeypatch.setattr(publishing, "_AGAIN", 0.01)

    async def loses_the_first() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def main() -> bool:
        task = asyncio.create_task(loses_the_first())
        await asyncio.sleep(0)
        await publishing.stop(task)
        return task.cancelled()

    assert asyncio.run(asyncio.wait_for(main(), 10))
