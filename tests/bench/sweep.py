"""What the sweep costs beside a log of a million events: `python -m tests.bench.sweep [--events N] [--url URL]`."""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.database import consumers, positions
from infra.database.engine import Database, connect
from infra.database.migrations import migrate
from infra.database.tables import Subscription as Row
from infra.recovery.queues import Queues
from infra.recovery.sweeping import Sweeping
from infra.subscriptions import EVERY_TYPE, Subscription
from tests.eventlogs import DAY, fill, handle
from tests.infra.recovery.conftest import Counts

GRACE = timedelta(seconds=60)
SMS, DAYS = "sms", "days"


def main() -> None:
    """Measure, and print a line for each figure."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--events", type=int, default=1_000_000)
    asked.add_argument("--url")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'bench.db'}"
        migrate(url)
        database = connect(url)
        _measure(database, options.events)
        database.close()


def _measure(database: Database, events: int) -> None:
    with database.transaction() as session:
        consumers.declare(session, [Subscription(SMS, (EVERY_TYPE,), print), Subscription(DAYS, (DAY,), print)])
    _timed("filling", lambda: _fill(database, events))
    queues = Queues(database, Counts())
    sweeping = Sweeping(database, queues, grace=GRACE, patience=lambda _: GRACE)
    for name in (DAYS, SMS):
        steps = [_timed("", lambda name=name: _pass(database, sweeping, name))]  # type: ignore[misc]
        while _row(database, name).scanned < events:
            steps.append(_timed("", lambda name=name: _pass(database, sweeping, name)))  # type: ignore[misc]
        print(f"{name}: catch-up in {len(steps)} steps, {sum(steps):.1f} s, longest {max(steps) * 1000:.0f} ms")  # noqa: T201
        passes = sorted(_timed("", lambda name=name: _pass(database, sweeping, name)) for _ in range(20))  # type: ignore[misc]
        print(f"{name}: a pass over the settled log, median {passes[10] * 1000:.1f} ms")  # noqa: T201
    standings = sorted(_timed("", lambda: _standing(database)) for _ in range(20))
    print(f"standing of both, median {standings[10] * 1000:.1f} ms")  # noqa: T201
    fill(database, events + 5_000, events + 1, at=datetime.now(UTC) - timedelta(seconds=600))
    _timed("first pass over 5,000 that wait", lambda: _pass(database, sweeping, SMS))
    waiting = sorted(_timed("", lambda: _pass(database, sweeping, SMS)) for _ in range(20))
    print(f"a further pass over 5,000 that wait, median {waiting[10] * 1000:.1f} ms")  # noqa: T201


def _fill(database: Database, events: int) -> None:
    old = datetime.now(UTC) - timedelta(seconds=600)
    for first in range(1, events, 100_000):
        last = min(first + 99_999, events)
        fill(database, last, first, at=old)
        handle(database, SMS, last, first)
        handle(database, DAYS, last, first)


def _row(database: Database, name: str) -> Row:
    with database.reading() as session:
        return next(row for row in consumers.declared(session) if row.consumer == name)


def _pass(database: Database, sweeping: Sweeping, name: str) -> None:
    sweeping.sweep(_row(database, name))


def _standing(database: Database) -> None:
    with database.reading() as session:
        positions.standing(session)


def _timed(what: str, work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    if what:
        print(f"{what}: {took * 1000:.0f} ms")  # noqa: T201
    return took


if __name__ == "__main__":
    main()
