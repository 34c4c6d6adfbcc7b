"""Keeps programs running: starts each, waits until it is ready, starts it again when it dies, stops it."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from infra.errors import NotStarted, TidingsError
from infra.local.record import Process, State

#: Pause before the first restart and before the last ones, in seconds.
SHORTEST, LONGEST = 0.2, 10.0
#: A program that lived this long, in seconds, is trusted again.
CALM = 30.0
_POLL = 0.1


class Supervised(Protocol):
    """What can be started, watched and stopped: a child process, or the broker's node."""

    name: str

    @property
    def probe(self) -> str | None:
        """URL that tells whether it is ready."""

    @property
    def pid(self) -> int | None:
        """Its process."""

    async def start(self) -> None:
        """Start it."""

    async def is_ready(self) -> bool:
        """Whether it can do its work."""

    async def died(self) -> str:
        """Wait for its end and tell how it ended."""

    async def stop(self, seconds: float) -> None:
        """Ask it to end; by force after `seconds`."""

    def kill(self) -> None:
        """End it at once."""

    async def last_words(self) -> str:
        """What it said last."""


@dataclass(slots=True)
class BackOff:
    """Pauses that double while a program keeps dying young."""

    _next: float = SHORTEST

    def after(self, lived: float) -> float:
        """Seconds to wait before the next start of a program that lived for so many seconds."""
        pause = SHORTEST if lived >= CALM else self._next
        self._next = min(2 * pause, LONGEST)
        return pause


class Keeper:
    """Keeps one program running; `changed` is called whenever its `process` has changed."""

    def __init__(self, program: Supervised, *, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.process = Process(name=program.name, probe=program.probe)
        self._program = program
        self._say = say
        self._changed = changed
        self._keeping: asyncio.Task[None] | None = None
        self._reloading = False

    async def begin(self, seconds: float) -> None:
        """Start the program, wait until it is ready, and keep it running from then on.

        Raises:
            NotStarted: it ended before it was ready, or was not ready within `seconds`.
        """
        began = time.monotonic()
        await self._start()
        try:
            ended = await asyncio.wait_for(self._ready_or_ended(), seconds)
        except TimeoutError:
            raise NotStarted(
                f"{self.process.name} was not ready within {seconds:g} s: {await self._program.last_words()}"
            ) from None
        if ended is not None:
            raise NotStarted(
                f"{self.process.name} ended before it was ready, {ended}: {await self._program.last_words()}"
            )
        self._say(f"{self.process.name} is ready ({time.monotonic() - began:.1f} s)")
        self._keeping = asyncio.create_task(self._keep())

    async def reload(self, seconds: float) -> None:
        """Stop the program so that it is started anew at once; this is no death."""
        self._reloading = self._program.pid is not None  # else it starts anew in any case
        await self._program.stop(seconds)

    async def end(self, seconds: float) -> None:
        """Stop the program for good."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        await self._program.stop(seconds)
        self._enter("stopped")

    def kill(self) -> None:
        """End the program at once, to stay so; `end` still has to be waited for."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._program.kill()

    async def _keep(self) -> None:
        back_off = BackOff()
        began = time.monotonic()
        ended = await self._program.died()
        while True:
            await self._pause(ended, back_off, time.monotonic() - began)
            began = time.monotonic()
            ended = await self._live()

    async def _pause(self, ended: str, back_off: BackOff, lived: float) -> None:
        self._enter("restarting")
        if self._reloading:
            self._reloading = False
            return
        pause = back_off.after(lived)
        self.process.restarts += 1
        self._say(f"{self.process.name} ended, {ended}; it starts again in {pause:g} s")
        self._changed()
        await asyncio.sleep(pause)

    async def _live(self) -> str:
        """One more life of the program, from its start to its end, of which it tells."""
        try:
            await self._start()
        except (TidingsError, OSError) as error:
            return str(error)
        ended = await self._ready_or_ended()
        if ended is not None:
            return ended
        self._say(f"{self.process.name} is ready again")
        return await self._program.died()

    async def _start(self) -> None:
        await self._program.start()
        self._enter("starting")

    async def _ready_or_ended(self) -> str | None:
        died = asyncio.ensure_future(self._program.died())
        try:
            while not died.done():
                if await self._program.is_ready():
                    self._enter("ready")
                    return None
                await asyncio.wait({died}, timeout=_POLL)
            return died.result()
        finally:
            died.cancel()

    def _enter(self, state: State) -> None:
        self.process.state = state
        self.process.pid = self._program.pid
        self._changed()


async def end_all(keepers: Iterable[Keeper], seconds: float) -> None:
    """Stop programs side by side, asking the last one first; whichever takes longer than `seconds` is killed."""
    await asyncio.gather(*(keeper.end(seconds) for keeper in reversed(list(keepers))))
