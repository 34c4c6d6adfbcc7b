"""A lease kept over time: renewed while it is ours, asked for while it is not."""

import asyncio
import time

import structlog

from infra.database import leases
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.errors import DatabaseUnavailable
from infra.relaying.trouble import Trouble

log = structlog.get_logger(__name__)

#: Seconds between two requests for the lease, and between two renewals.
EVERY = 0.8


class Tenure:
    """Whether the lease is ours now: never believed for longer than the time that was granted by the database."""

    def __init__(self, database: Database, holding: Holding) -> None:
        self.holding = holding
        self._database = database
        self._until = 0.0
        self._gained = asyncio.Event()
        #: Why the lease cannot be asked for.
        self.trouble = Trouble("lease")

    @property
    def held(self) -> bool:
        """Whether the lease is ours, by a clock that goes on while this process is stopped."""
        return time.monotonic() < self._until

    async def gained(self) -> None:
        """Wait until the lease is ours."""
        while not self.held:
            self._gained.clear()
            await self._gained.wait()

    async def ended(self) -> None:
        """Wait until the lease is not ours any more; seen with a delay of up to `EVERY`."""
        while self.held:  # noqa: ASYNC110  # it ends by time going by, which nobody announces
            await asyncio.sleep(EVERY)

    async def keep(self) -> None:
        """Ask for the lease and renew it, until cancelled."""
        while True:
            if self._until - time.monotonic() < self.holding.seconds - EVERY:
                try:
                    await self._ask()
                    self.trouble.over()
                except Exception as error:  # noqa: BLE001  # whatever it was, without the lease nobody publishes
                    self.trouble.tell(error)
            await asyncio.sleep(EVERY)

    def renewed(self, at: float) -> None:
        """Note that it was renewed by other means, in a transaction that began then by the monotonic clock."""
        self._until = at + self.holding.seconds
        self._gained.set()

    def lost(self) -> None:
        """Note that somebody else has it."""
        if self.held:
            log.warning("lease lost", lease=self.holding.name)
        self._until = 0.0

    async def release(self) -> None:
        """Give the lease back, if it is ours, so that the next one need not wait for its end."""
        if not self.held:
            return
        self._until = 0.0
        name, holder = self.holding.name, self.holding.holder
        try:
            await asyncio.wrap_future(self._database.submit(lambda session: leases.release(session, name, holder)))
        except DatabaseUnavailable as error:
            log.warning("lease not released", lease=name, error=str(error))

    async def _ask(self) -> None:
        holding, at = self.holding, time.monotonic()
        asked = self._database.submit(
            lambda session: leases.acquire(session, holding.name, holding.holder, holding.seconds)
        )
        if await asyncio.wrap_future(asked):
            self.renewed(at)
        else:
            self.lost()
