"""What the tests of the sweep share: a consumer with a log of events, and a sweep whose evidence a test writes."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select
from sqlmodel import Session

from infra.database import consumers, emptied, positions
from infra.database.engine import Database
from infra.database.positions import Standing
from infra.database.recovery_tables import DeadLetter, Resend
from infra.database.tables import Inbox, Subscription, table
from infra.recovery.queues import Queues
from infra.recovery.sweeping import Sweeping, Swept
from infra.subscriptions import EVERY_TYPE
from infra.subscriptions import Subscription as Recorded
from tests.eventlogs import event_id

GRACE = timedelta(seconds=60)
_INBOX, _RESEND, _LETTER = table(Inbox), table(Resend), table(DeadLetter)


def ago(seconds: float) -> datetime:
    """A moment so many seconds ago, or to come."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def write_letter(session: Session, event: str, consumer: str, *, letter_id: str | None = None) -> None:
    """Keep a dead letter."""
    key = {"key": f"{consumer}/{event}", "event_id": event, "consumer": consumer, "body": b""}
    what = {"reason": "handler-error", "error": "", "fingerprint": "", "attempts": 1, "version": "", "replays": 0}
    when = {"first_failed_at": ago(0), "last_failed_at": ago(0)}
    session.connection().execute(insert(_LETTER).values(id=letter_id or event, state="waiting", **key, **what, **when))


@dataclass
class Counts:
    """A broker as the sweep sees it: it tells what it is told to tell."""

    waiting: dict[str, int] = field(default_factory=dict)
    made: dict[str, datetime] = field(default_factory=dict)
    #: What it was asked to declare.
    declared: list[Any] = field(default_factory=list)
    error: Exception | None = None
    #: Its one answer, if a test gives it.
    answer: Future[dict[str, int]] | None = None

    def inspect(self, asked: Any) -> Future[dict[str, int]]:
        self.declared.append(asked)
        if self.answer is not None:
            return self.answer
        answer: Future[dict[str, int]] = Future()
        if self.error is None:
            answer.set_result(self.waiting)
        else:
            answer.set_exception(self.error)
        return answer


@dataclass
class Bench:
    """One consumer, `sms`, and the sweep of it."""

    database: Database
    queues: Queues
    sweeping: Sweeping

    def record(self, *types: str) -> None:
        """Record the consumer, or other types of it."""
        with self.database.transaction() as session:
            consumers.declare(session, [Recorded("sms", types or (EVERY_TYPE,), print)])

    @property
    def row(self) -> Subscription:
        return self.named("sms")

    def named(self, consumer: str) -> Subscription:
        """What is recorded of a consumer."""
        with self.database.reading() as session:
            return next(row for row in consumers.declared(session) if row.consumer == consumer)

    def sweep(self, **options: Any) -> Swept:
        """Passes until there is no more to do at once, up to twenty; gives the last one, with all that were sent."""
        sent, found = 0, self.sweeping.sweep(self.row, **options)
        for _ in range(20):
            sent += found.sent
            if not found.more:
                break
            found = self.sweeping.sweep(self.row, **options)
        return Swept(found.consumer, found.lost, sent, found.more)

    def inbox(self, position: int, state: str, **more: Any) -> None:
        """What the inbox has of the event at a position."""
        values = {"event_id": event_id(position), "consumer": "sms", "state": state, "attempts": 1, "first_at": ago(0)}
        with self.database.transaction() as session:
            session.connection().execute(insert(_INBOX).values(**values, **more))

    def seen_empty(self, at: datetime, queue: str = "sms") -> None:
        """Nothing waited in the queue at that time."""
        self.queues._empty[queue].append(at)

    def made(self, at: datetime, queue: str = "sms") -> None:
        """The queue was missing, and was made anew at that time."""
        with self.database.transaction() as session:
            emptied.note(session, {queue: at})

    def keep(self, position: int) -> None:
        """There is a dead letter of this event."""
        with self.database.transaction() as session:
            write_letter(session, event_id(position), "sms")

    def waiting(self) -> list[str]:
        """Events that wait to be sent again, in order."""
        with self.database.reading() as session:
            return list(session.connection().execute(select(_RESEND.c.event_id).order_by(_RESEND.c.sequence)).scalars())

    def relay(self) -> None:
        """Have all that waits been sent."""
        with self.database.transaction() as session:
            session.connection().execute(delete(_RESEND))

    @property
    def standing(self) -> Standing:
        with self.database.reading() as session:
            return positions.standing(session)["sms"]


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def bench(database: Database, counts: Counts) -> Bench:
    """A consumer of everything, recorded before the first event."""
    queues = Queues(database, counts)
    made = Bench(database, queues, Sweeping(database, queues, grace=GRACE, patience=lambda _: GRACE))
    made.record()
    return made
