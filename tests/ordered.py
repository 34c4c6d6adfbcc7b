"""An ordered consumer for tests: events in the log, deliveries one by one, and what the relay is to send again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from events.envelope import Envelope, announce, encode
from events.users import UserRegistered
from infra.database import consumers, event_log, leases, outbox, positions, resends, turns, waiting
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.database.recovery_tables import Resend
from infra.database.settling import Open
from infra.database.tables import Activity, Inbox, table
from infra.database.tables import Subscription as Row
from infra.delivery import Deliveries
from infra.outcomes import Incoming, Outcome
from infra.subscriptions import Context, Subscription

LEDGER = "ledger"
_LEASE = Holding("relay", "test", 600.0)
_INBOX, _ACTIVITY, _SUBSCRIPTION = table(Inbox), table(Activity), table(Row)


class Ordered:
    """What happens to one ordered consumer on one database, in one process unless a test makes further ones."""

    def __init__(self, database: Database, *, name: str = LEDGER) -> None:
        self.database = database
        self.name = name
        #: Ids of events in the order in which they took effect.
        self.handled: list[str] = []
        self.failure: BaseException | None = None
        self.subscription = Subscription(name, ("user.registered",), self._handle, ordered=True)
        self._deliveries = Deliveries(database, {"mail": lambda _: None})
        with database.transaction() as session:
            consumers.declare(session, [self.subscription])
            leases.acquire(session, _LEASE.name, _LEASE.holder, _LEASE.seconds)

    def announce(self, *subjects: UUID) -> list[Envelope]:
        """Add an event of each of these subjects to the outbox."""
        made = [
            announce(UserRegistered(user_id=each, name="Ada", email="a@b.com"), source="/test") for each in subjects
        ]
        with self.database.transaction() as session:
            outbox.add_all(session, [(each, None) for each in made])
        return made

    def log(self, *subjects: UUID) -> list[Envelope]:
        """The same, and have the relay publish them."""
        made = self.announce(*subjects)
        self.move()
        return made

    def move(self) -> None:
        """Write down that all of the outbox is published."""
        with self.database.transaction() as session:
            event_log.publish(session, outbox.due(session, 1_000), lease=_LEASE)

    def deliver(self, envelope: Envelope, *, fails: BaseException | None = None, **signs: Any) -> Outcome:
        """Bring an event to the consumer, which fares like this."""
        self.failure = fails
        incoming = Incoming(encode(envelope), signs.pop("attempt", 1), **signs)
        (outcome,) = self._deliveries.handler(self.subscription)([incoming])
        self.failure = None
        return outcome

    def scan(self, position: int, *left: Envelope, since: int | None = None) -> None:
        """Have the sweep's scan come so far, and leave these behind; have the consumer count from there, if asked."""
        now = datetime.now(UTC)
        with self.database.transaction() as session:
            places = [turns.place(session, each.id, self.name) for each in left]
            rows = [Open(each.position, each.event_id, now, None, None, None, None) for each in places if each]
            positions.advance(session, self.name, 0, position, rows)
            if since is not None:
                session.connection().execute(update(_SUBSCRIPTION).values(since=since))

    def restart(self) -> None:
        """A new process, which remembers nothing."""
        self._deliveries = Deliveries(self.database, {"mail": lambda _: None})

    def resent(self) -> list[Resend]:
        """What is to be sent to the consumer again; it is sent now."""
        with self.database.transaction() as session:
            found = resends.waiting(session, 1_000)
            resends.remove(session, found)
        return found

    def waits(self, subject: UUID) -> list[str]:
        """Ids of the events of a subject that wait."""
        with self.database.reading() as session:
            return [one.event_id for one in waiting.next_of(session, self.name, str(subject), 1_000)]

    def state(self, envelope: Envelope) -> str | None:
        """What the inbox says of an event."""
        query = select(_INBOX.c.state).where(_INBOX.c.event_id == envelope.id, _INBOX.c.consumer == self.name)
        with self.database.reading() as session:
            return session.connection().execute(query).scalar_one_or_none()

    def written(self) -> list[str]:
        """Ids of the events whose handler's rows are there."""
        with self.database.reading() as session:
            return list(session.connection().execute(select(_ACTIVITY.c.event_id)).scalars())

    def _handle(self, event: UserRegistered, context: Context) -> None:
        row = {"event_id": context.event_id, "type": event.TYPE, "subject": context.subject, "time": datetime.now(UTC)}
        context.session.connection().execute(insert(_ACTIVITY), row)
        if self.failure is not None:
            raise self.failure
        self.handled.append(context.event_id)


def ids(envelopes: Sequence[Envelope]) -> list[str]:
    """Their ids."""
    return [each.id for each in envelopes]
