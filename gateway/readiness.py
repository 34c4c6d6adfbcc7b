"""Whether the gateway can do its work: what a load balancer asks, and what an operator reads.

Its work is to keep registrations, and for that it needs the database and nothing else. So only the database and its
schema decide between 200 and 503. What is behind the gateway (the broker, events that no queue takes or that were set
aside, silent schedules) makes it *degraded*, with 200: to take it out of service would turn a delay into an outage and
mend nothing.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from gateway.relaying import Relaying
from infra.database import outbox, silences
from infra.database.engine import Database
from infra.database.migrations import is_current
from infra.database.outbox import Backlog
from infra.errors import DatabaseUnavailable

#: Seconds that the database has for its answer.
DEADLINE = 2.0
#: Seconds for which an answer is given again: the route is public, and must not be a way to keep the database busy.
FRESH = 0.5
#: Seconds after which an event should long have been published.
PATIENCE = 30.0

_WAITING = "waiting for the broker"
Status = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    status: Status
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that was looked at."""

    checks: dict[str, Check]
    at: float = field(default_factory=time.monotonic)

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return all(check.status != "failed" for check in self.checks.values())

    @property
    def problems(self) -> list[str]:
        """One line for each check that is not well."""
        return [f"{name}: {check.detail}" for name, check in self.checks.items() if check.status != "ok"]


class Readiness:
    """Looks when it is asked, and for many who ask at once only once."""

    def __init__(self, database: Database, relay: Relaying | None) -> None:
        self._database = database
        self._relay = relay
        #: Set when the relay ended by an error that it should have handled.
        self.relay_broke = False
        self._migrated = False
        self._report: Report | None = None
        self._looking: asyncio.Task[Report] | None = None

    async def report(self) -> Report:
        """The state of now, or of half a second ago."""
        if self._report is None or time.monotonic() - self._report.at > FRESH:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            self._report = await asyncio.shield(self._looking)
        return self._report

    async def _look(self) -> Report:
        try:
            async with asyncio.timeout(DEADLINE):
                stored = await asyncio.to_thread(self._stored)
        except DatabaseUnavailable:
            stored = {"database": Check("failed", "it cannot be reached")}
        except TimeoutError:
            stored = {"database": Check("failed", f"no answer within {DEADLINE:g} s")}
        return Report(stored | self._relaying())

    def _stored(self) -> dict[str, Check]:
        # Once is enough: a newer program's migration must not put those of the older one that still run out of service.
        self._migrated = self._migrated or is_current(self._database)
        if not self._migrated:
            return {"database": Check("ok", "answers"), "schema": Check("failed", "run ./tidings migrate")}
        with self._database.reading() as session:
            behind = {"outbox": _outbox(outbox.backlog(session)), "schedules": _schedules(silences.count(session))}
        return {"database": Check("ok", "answers"), "schema": Check("ok", "is current"), **behind}

    def _relaying(self) -> dict[str, Check]:
        if self._relay is None:
            return {"relay": Check("ok", "not run by this program")}
        if self.relay_broke:
            return {"relay": Check("degraded", "broke through a fault of ours: see the log, and restart the gateway")}
        state, problem = self._relay.state, self._relay.problem
        if state == _WAITING:  # the relay's own words may name hosts, and this route is public
            return {"broker": Check("degraded", "RabbitMQ cannot be reached"), "relay": Check("degraded", state)}
        broker = Check("ok", "connected" if state == "active" else "another program publishes")
        return {"broker": broker, "relay": Check("degraded" if problem else "ok", problem or state)}


def _outbox(backlog: Backlog) -> Check:
    if backlog.set_aside:
        return Check("degraded", f"{backlog.set_aside} events were set aside after too many failed tries")
    waiting = (datetime.now(UTC) - backlog.oldest).total_seconds() if backlog.oldest else 0.0
    if waiting > PATIENCE:
        return Check("degraded", f"{backlog.rows} events wait, the oldest for {waiting:.0f} s")
    return Check("ok", f"{backlog.rows} events wait")


def _schedules(silent: int) -> Check:
    if silent:
        return Check("degraded", f"{silent} have not fired for more than two of their periods")
    return Check("ok", "none is silent")
