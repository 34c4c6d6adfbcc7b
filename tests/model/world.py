"""The events' road with everything on it: our own code on a real database, around a model of the broker."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, cast
from uuid import UUID

from sqlalchemy import Column, MetaData, String, Table, insert, select, update
from sqlmodel import Session

from events.envelope import announce
from events.users import UserRegistered
from infra.cleaning.cleaning import Cleaning
from infra.database import consumers, emptied, event_log, leases, outbox, replays, resends
from infra.database.consumer_tables import Waiting
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.database.outbox import Due
from infra.database.recovery_tables import DeadLetter, Resend
from infra.database.tables import BIG, Effect, EventLog, Inbox, Outbox, table
from infra.delivery import Deliveries
from infra.effects import Intent
from infra.errors import EffectFailed, EffectRefused, EffectUnknown
from infra.rabbitmq.messages import event_message
from infra.rabbitmq.topology import DEAD_LETTERS, TIERS
from infra.recovery.keeping import Keeper
from infra.recovery.queues import Queues
from infra.recovery.sweeping import Sweeping
from infra.relaying import resending
from infra.retention import Retention
from infra.retrying import Retry, RetryAfter
from infra.subscriptions import Context, Subscription
from tests.model.broker import Item, ModelBroker
from tests.model.processes import Fate, Mortal, Worker

TYPE = UserRegistered.TYPE
#: Consumers: rows only, rows and a mail, a mail only.
ROWS, BOTH, MAIL = "rows", "both", "mail"
CONSUMERS = (ROWS, BOTH, MAIL)
SUBJECTS = [UUID(int=number) for number in (1, 2, 3)]
_JOURNAL = Table(
    "model_journal",
    MetaData(),
    Column("sequence", BIG, primary_key=True),
    Column("event_id", String),
    Column("consumer", String),
)
_OUTBOX, _LOG, _INBOX, _EFFECT = table(Outbox), table(EventLog), table(Inbox), table(Effect)
_LETTER, _RESEND, _WAITING = table(DeadLetter), table(Resend), table(Waiting)
_LEASE = Holding("relay", "me", 3_600.0)
_DAY, _YEAR = timedelta(days=1), timedelta(days=365)
_KEPT = Retention(**dict.fromkeys(Retention.__dataclass_fields__, _DAY) | {"inbox": 3 * _DAY})
Key = tuple[str, str]

#: How a handler, or its effect, fares.
HANDLER: dict[str, BaseException] = {
    "lost connection": ConnectionError("lost"),
    "mistake": KeyError("name"),
    "told to come again": RetryAfter(20),
    "interrupted": GeneratorExit(),
}
EFFECT: dict[str, BaseException] = {
    "refused": EffectRefused("550"),
    "failed": EffectFailed("451"),
    "unknown, not happened": EffectUnknown("silence"),
    "unknown, happened": EffectUnknown("silence"),
}
FINE = "fine"
RECORDED_LATER = "recorded later"


class Seen:
    """All that is in the database."""

    def __init__(self, session: Session) -> None:
        def rows(query: Any) -> Sequence[Any]:
            return session.connection().execute(query).all()

        #: Events in the order in which their handlers' work was committed.
        self.order = [(row.event_id, row.consumer) for row in rows(select(_JOURNAL).order_by(_JOURNAL.c.sequence))]
        self.journal = Counter(self.order)
        self.inbox = {(row.event_id, row.consumer): row for row in rows(select(_INBOX))}
        self.outbox = [row.event_id for row in rows(select(_OUTBOX.c.event_id).order_by(_OUTBOX.c.sequence))]
        self.log = rows(select(_LOG.c.position, _LOG.c.event_id, _LOG.c.subject).order_by(_LOG.c.position))
        self.letters = rows(select(_LETTER).order_by(_LETTER.c.id))
        self.resends = {(row.event_id, row.consumer) for row in rows(select(_RESEND))}
        self.put_by = {(row.event_id, row.consumer) for row in rows(select(_WAITING))}


class _Looks:
    """When each queue was seen empty: never, before the end."""

    def __init__(self) -> None:
        self.empty: dict[str, datetime] = {}

    def empty_until(self, queue: str, *, patience: timedelta) -> datetime | None:
        return self.empty.get(queue)


class World:
    """What the rules do, and what the invariants look at."""

    consumers: ClassVar[tuple[str, ...]] = CONSUMERS

    def __init__(self, database: Database) -> None:
        self.database = database
        self.broker = ModelBroker({name: self.subscription(name).types for name in self.consumers})
        #: What is sent to one queue and confirmed, and not written down yet.
        self.unrecorded: Sequence[Resend] = []
        #: Subject -> ids of its events, as they were committed.
        self.registered: dict[str, list[str]] = {}
        #: What the world outside saw: mails by event and consumer.
        self.mails: Counter[Key] = Counter()
        #: Runs, and mails, that an operator asked for by force.
        self.forced: Counter[Key] = Counter()
        #: Mails that went out while nobody wrote down that they had: each may go out once more.
        self.unmarked: Counter[Key] = Counter()
        #: What was in a queue that was deleted, and was not sent again yet.
        self.lost: set[Key] = set()
        #: Events that the cleaning took out of the log.
        self.cleaned: set[str] = set()
        self._looks = _Looks()
        self._behaviour = FINE
        self._seen: Seen | None = None
        with database.transaction() as session:
            _JOURNAL.create(session.connection())
            consumers.declare(session, [self.subscription(name) for name in self.consumers])
            leases.acquire(session, _LEASE.name, _LEASE.holder, _LEASE.seconds)
        self.start()

    def start(self) -> None:
        """The consumers program, new: whatever the last one had in its memory is gone."""
        self._mortal = Mortal(self.database)
        self._deliveries = self.deliveries(self._mortal.as_database())
        keeper = Keeper(self._mortal.as_database())
        handles = {name: self._deliveries.handler(self.subscription(name)) for name in self.consumers}
        self._workers = {
            name: Worker(name, handle, self.broker) for name, handle in {**handles, DEAD_LETTERS: keeper.keep}.items()
        }

    def deliveries(self, database: Database) -> Deliveries:
        """What handles messages in a new process."""
        return Deliveries(database, {"mail": self._send})

    def subscription(self, name: str) -> Subscription:
        """One of the consumers."""
        return Subscription(name, (TYPE,), self._handle, retry=Retry(delays=(5, 30)))

    # What happens.

    def register(self, subject: UUID) -> None:
        self._seen = None
        event = announce(UserRegistered(user_id=subject, name="Ada", email="ada@example.com"), source="/gateway")
        with self.database.transaction() as session:
            outbox.add(session, event)
        self.registered.setdefault(str(subject), []).append(event.id)

    def relay(self, most: int, fault: str | None = None) -> None:
        """Publish the next events and write that down, unless it comes to nothing or happens twice."""
        self._seen = None
        with self.database.reading() as session:
            rows = outbox.due(session, most)
        for row in rows:
            self.broker.publish(event_message(row.event_id, row.type, row.body.encode()))
        if rows and fault != "before the log":
            self.database.run(partial(_log, rows=rows))
            if fault == "the commit's answer is lost":
                self.database.run(partial(_log_in_doubt, rows=rows))

    def resend(self, most: int, fault: str | None = None) -> None:
        """The same for what goes to one queue; what the broker has confirmed may be recorded later."""
        self.record()
        with self.database.reading() as session:
            rows = resends.waiting(session, most)
        for row in rows:
            self.broker.publish(resending._message(row))
        if fault == RECORDED_LATER:
            self.unrecorded = rows
        elif fault is None:
            self.database.run(partial(resends.remove, sent=rows))

    def record(self) -> None:
        """Write down what the broker had confirmed; consumers may have had it since."""
        self._seen = None
        rows, self.unrecorded = self.unrecorded, []
        self.database.run(partial(resends.remove, sent=rows))

    def deliver(self, item: Item, behaviour: str = FINE, fault: str | None = None) -> None:
        """Bring a message to its consumer, which fares like this, in a process that meets with that."""
        self._seen = None
        if item not in self.broker.in_flight:
            self.broker.take(item)
        fate = self._mortal.fate = Fate(fault)
        before, self._behaviour = self.mails.copy(), behaviour
        self._workers[item.queue].work(item, fate)
        self._mortal.fate, self._behaviour = Fate(None), FINE
        for key in self.mails - before:
            if not self._is_marked(key):
                self.unmarked[key] += 1
        if fate.is_crash:
            self.start()

    def replay(self, letter_ids: Sequence[str], *, force: bool) -> None:
        self._seen = None
        with self.database.transaction() as session:
            replays.begin(session, letter_ids, force=force)
        self._seen = None
        begun = {row.id: (row.event_id, row.consumer) for row in self.seen.letters if row.state == "replaying"}
        if force:
            self.forced.update(begun[each] for each in letter_ids if each in begun)

    def leases_end(self) -> None:
        """Time passes, enough for another process to take over what a dead one was at."""
        with self.database.transaction() as session:
            session.connection().execute(update(_EFFECT).values(busy_until=datetime.now(UTC)))

    def expire(self, item: Item) -> None:
        """Time passes, enough for this message to come back from its tier."""
        self._seen = None
        key = (_INBOX.c.event_id == item.event_id) & (_INBOX.c.consumer == item.consumer)
        with self.database.transaction() as session:
            for row in session.connection().execute(select(_INBOX).where(key, _INBOX.c.retry_at.is_not(None))):
                passed = max(row.retry_at - datetime.now(UTC), timedelta(0))
                moved = {"retry_at": row.retry_at - passed, "failed_at": row.failed_at - passed}
                session.connection().execute(update(_INBOX).where(key).values(moved))
        self.broker.expire(item)

    def lose_queue(self, queue: str) -> None:
        """Somebody deletes a queue, and whoever declares it again finds out."""
        self._seen = None
        self.lost |= {(item.event_id, item.consumer) for item in self.broker.empty(queue)}
        with self.database.transaction() as session:
            emptied.note(session, {queue: datetime.now(UTC)})

    def sweep(self) -> None:
        """Send again what can be nowhere on its way."""
        self._seen = None
        with self.database.reading() as session:
            rows = consumers.declared(session)
        sweeping = Sweeping(
            self.database, cast("Queues", self._looks), grace=timedelta(0), patience=lambda _: timedelta(0)
        )
        for row in rows:
            sweeping.sweep(row)

    @property
    def may_wait_for_a_year(self) -> bool:
        """Whether no copy of what is handled waits: a queue is worked off in far less time, unless it is paused."""
        handled = {key for key, row in self.seen.inbox.items() if row.state == "handled"}
        return not any((item.event_id, item.consumer) in handled for item in self.broker.all())

    def clean(self) -> None:
        """A year passes, and old rows go: no event that some consumer has neither handled nor given up."""
        self.sweep()
        before = self.seen
        settled = {key for key, row in before.inbox.items() if row.state == "handled"}
        Cleaning(self.database, _KEPT, ahead=_YEAR).run()
        self._seen = None
        gone = {row.event_id for row in before.log} - {row.event_id for row in self.seen.log}
        assert settled >= {(event, consumer) for event in gone for consumer in self.consumers}
        self.cleaned |= gone

    def drain(self) -> None:
        """All is well from now on: go on until nothing waits anywhere."""
        for _ in range(200):
            self.tend()
            self.leases_end()
            self.broker.lose_connection()
            self.relay(1_000)
            self.resend(1_000)
            for item in self.broker.waiting(*TIERS.values()):
                self.expire(item)
            for item in self.broker.waiting(*self.consumers, DEAD_LETTERS):
                self.deliver(item)
            if self._is_still() and not self._find_lost() and not self.seen.put_by:
                return
        raise AssertionError("what waits in the queues does not come to an end")

    def _is_still(self) -> bool:
        seen = self.seen
        return not (self.broker.all() or seen.outbox or seen.resends)

    def tend(self) -> None:
        """What duties do beside the sweep."""

    def _find_lost(self) -> bool:
        """After the longest retry, and with a look at queues that are empty: whether anything is on its way again."""
        with self.database.transaction() as session:
            later = session.connection().execute(select(_INBOX).where(_INBOX.c.retry_at > datetime.now(UTC))).all()
            for row in later:
                key = (_INBOX.c.event_id == row.event_id) & (_INBOX.c.consumer == row.consumer)
                passed = row.retry_at - datetime.now(UTC)
                moved = {"retry_at": row.retry_at - passed, "failed_at": row.failed_at - passed}
                session.connection().execute(update(_INBOX).where(key).values(moved))
            replays.bring_back(session, datetime.now(UTC) + 2 * replays.LONGEST)
        self._looks.empty = {queue: datetime.now(UTC) for queue in self.broker.queues}
        self.sweep()
        self.lost.clear()
        return bool(self.seen.resends)

    @property
    def seen(self) -> "Seen":
        """What is in the database now; read once after each thing that happened."""
        if self._seen is None:
            with self.database.reading() as session:
                self._seen = Seen(session)
        return self._seen

    def _is_marked(self, key: Key) -> bool:
        query = select(_EFFECT.c.state).where(_EFFECT.c.event_id == key[0], _EFFECT.c.consumer == key[1])
        with self.database.reading() as session:
            return ["sent"] == list(session.connection().execute(query).scalars())

    def _handle(self, event: UserRegistered, context: Context) -> None:
        consumer = context.consumer
        if consumer != MAIL:
            row = {"event_id": context.event_id, "consumer": consumer}
            context.session.connection().execute(insert(_JOURNAL), row)
        if consumer != ROWS:
            context.mail.send("welcome", to=event.email)
        if self._behaviour in HANDLER:
            raise HANDLER[self._behaviour]

    def _send(self, intent: Intent) -> None:
        if self._behaviour not in EFFECT or self._behaviour.endswith(", happened"):
            self.mails[intent.event_id, intent.consumer] += 1
        if self._behaviour in EFFECT:
            raise EFFECT[self._behaviour]


def _log(session: Any, *, rows: Sequence[Due]) -> None:
    event_log.publish(session, rows, lease=_LEASE)


def _log_in_doubt(session: Any, *, rows: Sequence[Due]) -> None:
    if left := event_log.without_logged(session, rows):
        event_log.publish(session, left, lease=_LEASE)
