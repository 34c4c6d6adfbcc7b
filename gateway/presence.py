"""A long answer is given as long as its client is there."""

import asyncio
from collections.abc import Coroutine

from starlette.types import Receive


async def while_there(receive: Receive, answer: Coroutine[None, None, None]) -> None:
    """Give the answer to its end, or until the client goes away."""
    giving = asyncio.create_task(answer)
    going = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({giving, going}, return_when=asyncio.FIRST_COMPLETED)
        if giving.done():
            giving.result()
    finally:
        for task in (giving, going):
            task.cancel()
        await asyncio.gather(giving, going, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
