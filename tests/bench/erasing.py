"""How long it takes to erase somebody with many events, and how long others wait: `python -m tests.bench.erasing`."""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import insert

from events.clock import due_id
from events.envelope import announce, encode
from events.users import UserRegistered
from infra.database import outbox
from infra.database.engine import Database, connect
from infra.database.migrations import migrate
from infra.database.personal import Person
from infra.database.tables import Activity, EventLog, Inbox, table
from infra.jobs.storing import Folder, WithSmall
from infra.personal.erasing import Erasing, Progress
from tests.bench.figures import percentile
from tests.postgres import Postgres

#: Events that are written in one transaction.
_AT_ONCE = 5_000


def main() -> None:
    """Measure, and print the figures as JSON."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--events", type=int, default=200_000)
    asked.add_argument("--others", type=int, default=200_000)
    asked.add_argument("--postgres", action="store_true")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, _database_url(Path(folder), options.postgres) as url:
        migrate(url)
        database = connect(url)
        person = Person(str(uuid4()), "ada@example.com")
        _fill(database, person, options.events, options.others)
        print(json.dumps(_measured(database, Path(folder), person), indent=2))  # noqa: T201
        database.close()


@contextmanager
def _database_url(folder: Path, postgres: bool) -> Iterator[str]:
    if not postgres:
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    server = Postgres()
    server.start()
    try:
        yield server.create("bench")
    finally:
        server.stop()


def _fill(database: Database, person: Person, events: int, others: int) -> None:
    """Theirs and others' in turn: in the log, in the inbox of two consumers, in the activity log."""
    everybody = [person.id] * events + [str(uuid4()) for _ in range(100)] * (others // 100)
    everybody = [each for pair in zip(everybody[::2], everybody[1::2], strict=True) for each in pair]
    now, position = datetime.now(UTC), 0
    for start in range(0, len(everybody), _AT_ONCE):
        log, inbox, activity = list[Any](), list[Any](), list[Any]()
        for user in everybody[start : start + _AT_ONCE]:
            position += 1
            at = now - timedelta(days=30) + timedelta(milliseconds=position)
            event_id = due_id("bench", at)
            event = UserRegistered(
                user_id=user, name="Ada", email=str(person.address) if user == person.id else "x@y.z"
            )
            body = encode(announce(event, source="/bench")).decode()
            log.append({"position": position, "event_id": event_id, "type": event.TYPE, "subject": user, "body": body,
                        "published_at": at})  # fmt: skip
            activity.append({"event_id": event_id, "type": event.TYPE, "subject": user, "time": at})
            inbox += [{"event_id": event_id, "consumer": who, "state": "handled", "attempts": 1, "first_at": at,
                       "handled_at": at} for who in ("activity-log", "welcome-email")]  # fmt: skip
        with database.transaction() as session:
            for model, rows in ((EventLog, log), (Inbox, inbox), (Activity, activity)):
                session.connection().execute(insert(table(model)), rows)


def _measured(database: Database, folder: Path, person: Person) -> dict[str, Any]:
    steps = list[float]()

    @contextmanager
    def step(_: Any) -> Iterator[Any]:
        began = time.monotonic()
        with database.transaction() as session:
            yield session
        steps.append(time.monotonic() - began)

    others, over = list[float](), threading.Event()
    writer = threading.Thread(target=_write, args=(database, others, over))
    writer.start()
    began = time.monotonic()
    progress = Progress(datetime.now(UTC), person.address)
    erasing = Erasing(database, WithSmall(Folder(folder)), person, step=step, tell=lambda _, __: None)
    erasing.begin(progress)
    erasing.erase(progress)
    seconds = time.monotonic() - began
    over.set()
    writer.join()
    return {
        "seconds": round(seconds, 1),
        "rows": dict(progress.rows),
        "transactions": len(steps),
        "transaction_ms": _figures(steps),
        "others_ms": _figures(others),
    }


def _figures(seconds: list[float]) -> dict[str, float]:
    shares = {"p50": percentile(seconds, 0.5), "p99": percentile(seconds, 0.99), "longest": max(seconds)}
    return {name: round(value * 1000, 1) for name, value in shares.items()}


def _write(database: Database, waits: list[float], over: threading.Event) -> None:
    """Somebody registers now and then, meanwhile."""
    while not over.wait(0.02):
        envelope = announce(UserRegistered(user_id=uuid4(), name="Eva", email="eva@example.com"), source="/bench")
        began = time.monotonic()
        with database.transaction() as session:
            outbox.add(session, envelope)
        waits.append(time.monotonic() - began)


if __name__ == "__main__":
    main()
