"""The failpoint between a publish and its confirm, where the client library itself waits: arranged only when armed."""

import asyncio
from collections.abc import Coroutine

from infra.faults import failpoint, is_armed

#: Turns of the event loop after which the frames are on the socket; the broker's answer takes far longer.
_TURNS = 10


async def before_confirm(publishing: Coroutine[None, None, None]) -> None:
    """Publish, and come by `relay.before-confirm` when the frames went out and nobody has answered yet."""
    if not is_armed("relay.before-confirm"):
        await publishing
        return
    task = asyncio.ensure_future(publishing)
    try:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        failpoint("relay.before-confirm")
        await task
    finally:
        task.cancel()
