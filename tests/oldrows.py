"""Old rows: events, and what belongs to them, as they were so long ago."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column, insert, select

from events.attributes import lowest_id
from infra.cleaning.cleaning import Cleaned, Cleaning
from infra.database import consumers
from infra.database.engine import Database
from infra.database.recovery_tables import Audit, DeadLetter, Operation, Resend, Unsettled
from infra.database.schedule_tables import ScheduleGap
from infra.database.tables import (
    Activity,
    Effect,
    EventLog,
    Idempotency,
    Inbox,
    ScheduleRun,
    Subscription,
    table,
)
from infra.jobs.storing import Store
from infra.retention import FOREVER, Retention
from infra.subscriptions import EVERY_TYPE
from infra.subscriptions import Subscription as Recorded

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
#: Retention in the tests; each table its own.
KEPT = Retention(
    event_log=10 * DAY,
    inbox=12 * DAY,
    dead_letters=11 * DAY,
    activity=13 * DAY,
    schedule_runs=14 * DAY,
    idempotency=15 * DAY,
    operations=16 * DAY,
    audit=17 * DAY,
    results=3 * DAY,
    jobs=18 * DAY,
)
NOTHING_GOES = Retention(**dict.fromkeys(Retention.__dataclass_fields__, FOREVER))
CONSUMER = "sms"


def ago(age: timedelta) -> datetime:
    """So long ago."""
    return datetime.now(UTC) - age


def id_of(age: timedelta, number: int = 0) -> str:
    """The id of something that was made so long ago."""
    return str(UUID(int=UUID(lowest_id(ago(age))).int | 7 << 76 | number + 1))


@dataclass
class Rows:
    """A database that a test fills, cleans, and looks at."""

    database: Database
    #: Where the files of jobs are, if there are any.
    store: Store | None = None

    def insert(self, model: Any, *rows: dict[str, Any]) -> None:
        with self.database.transaction() as session:
            session.connection().execute(insert(table(model)), list(rows))

    def of(self, model: Any, *names: str) -> list[Any]:
        """What a table has in these columns, in order."""
        columns: list[Column[Any]] = [table(model).c[name] for name in names]
        with self.database.reading() as session:
            rows = session.connection().execute(select(*columns).order_by(*columns)).all()
        return [tuple(row) if len(names) > 1 else row[0] for row in rows]

    def clean(self, retention: Retention = KEPT, **options: Any) -> Cleaned:
        return Cleaning(self.database, retention, store=self.store).run(**options)

    def would_go(self, retention: Retention = KEPT) -> Mapping[str, int]:
        """What a dry run counts."""
        return Cleaning(self.database, retention, store=self.store).count().removed

    def consumer(self, name: str = CONSUMER, *, scanned: int) -> None:
        """Record a consumer of everything whose scan has come so far."""
        with self.database.transaction() as session:
            consumers.declare(session, [Recorded(name, (EVERY_TYPE,), print)])
            session.connection().execute(
                table(Subscription).update().where(table(Subscription).c.consumer == name).values(scanned=scanned)
            )

    def log(self, *events: tuple[int, timedelta]) -> list[str]:
        """Events at these positions, published so long ago; gives their ids."""
        same: dict[str, Any] = {"type": "user.registered", "subject": None, "body": "{}"}
        rows = [same | {"position": at, "event_id": id_of(age, at), "published_at": ago(age)} for at, age in events]
        self.insert(EventLog, *rows)
        return [row["event_id"] for row in rows]

    def handled(self, event_id: str, age: timedelta, consumer: str = CONSUMER, **other: Any) -> None:
        """The inbox's row of one that was handled then, and the effect that belongs to it."""
        row = {"event_id": event_id, "consumer": consumer, "state": "handled", "attempts": 1}
        moments = {"first_at": ago(age), "handled_at": ago(age), "failed_at": None, "retry_at": None}
        self.insert(Inbox, row | moments | other)
        effect = {"event_id": event_id, "consumer": consumer, "ordinal": 0, "kind": "mail", "arguments": {}, "key": "k"}
        self.insert(Effect, effect | {"state": "sent", "owner": "me", "busy_until": ago(age), "sent_at": ago(age)})

    def letter(self, event_id: str | None, state: str, age: timedelta, **other: Any) -> str:
        """A dead letter that was kept a day before it came into this state; gives its id."""
        letter_id = id_of(age + DAY, len(self.of(DeadLetter, "id")))
        row = {
            "id": letter_id,
            "key": f"{CONSUMER}/{event_id or letter_id}",
            "event_id": event_id,
            "consumer": CONSUMER,
        }
        what = {"reason": "handler-error", "error": "", "fingerprint": "", "attempts": 1, "version": "", "body": b""}
        when = {"first_failed_at": ago(age), "last_failed_at": ago(age), "replays": 0}
        closed = None if state in {"waiting", "queued", "replaying"} else ago(age)
        self.insert(DeadLetter, row | what | when | {"state": state, "closed_at": closed} | other)
        return letter_id

    def resend(self, event_id: str, consumer: str = CONSUMER, *, age: timedelta = MINUTE, **other: Any) -> None:
        """A message that waits to be sent to one queue."""
        row = {"consumer": consumer, "event_id": event_id, "type": "t", "body": b"", "dead_letter_id": None}
        self.insert(Resend, row | {"added_at": ago(age)} | other)

    def unsettled(self, position: int, consumer: str = CONSUMER, age: timedelta = DAY) -> None:
        """A row that the sweep's scan left behind."""
        row = {"consumer": consumer, "position": position, "event_id": id_of(age, position), "published_at": ago(age)}
        self.insert(Unsettled, row)

    def activity(self, *ages: timedelta) -> None:
        """Lines of the activity log."""
        rows = [{"event_id": str(uuid4()), "type": "t", "subject": None, "time": ago(age)} for age in ages]
        self.insert(Activity, *rows)

    def runs(self, schedule: str, *dues: datetime, **other: Any) -> None:
        """Due times that were decided in time."""
        rows = [{"schedule": schedule, "due_at": due, "event_id": "e", "fired_at": due} | other for due in dues]
        self.insert(ScheduleRun, *rows)

    def gap(self, age: timedelta) -> None:
        """A gap that was found then."""
        spans = {"first_due_at": ago(age), "last_due_at": ago(age), "due": 1, "fired": 0, "policy": "skip"}
        row = {"id": id_of(age), "schedule": "tick", "reason": "missed", "found_at": ago(age)}
        self.insert(ScheduleGap, row | spans)

    def answers(self, *ages: timedelta) -> None:
        """Answers to requests with a key."""
        same = {"fingerprint": "", "status": 201, "headers": {}, "body": ""}
        self.insert(Idempotency, *({"key": str(uuid4()), "created_at": ago(age)} | same for age in ages))

    def operation(self, state: str, age: timedelta, number: int = 0) -> str:
        """An operation that came into this state then; gives its id."""
        ended = None if state in {"running", "stopping"} else ago(age)
        row = {"id": id_of(age + MINUTE, number), "kind": "replay", "state": state, "request": {}, "total": 1}
        counts = {"sent": 0, "handled": 0, "failed": 0, "message": ""}
        times = {"created_at": ago(age), "updated_at": ago(age), "finished_at": ended}
        self.insert(Operation, row | counts | times)
        return str(row["id"])

    def deed(self, age: timedelta) -> None:
        """Something that an operator did."""
        row = {"id": id_of(age), "at": ago(age), "who": "me", "action": "a", "target": "t", "why": "", "details": {}}
        self.insert(Audit, row)

    def count(self, *models: Any) -> list[int]:
        """How many rows tables have."""
        return [len(self.of(model, next(iter(table(model).primary_key)).name)) for model in models]
