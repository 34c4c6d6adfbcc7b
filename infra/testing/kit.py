"""What a test of a consumer holds in its hand: everything in memory, in one thread, by a clock that it moves itself."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, overload

from sqlmodel import Session

from events.envelope import Envelope, Event, announce, encode
from infra.database import consumers, dead_letters, outbox
from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter
from infra.effects import Intent
from infra.jobs.kinds import Runner
from infra.settings import Settings
from infra.subscriptions import Handler, Subscription
from infra.testing import reading, store
from infra.testing.cast import Cast
from infra.testing.clock import Clock, RealClock
from infra.testing.job_kit import JobKit
from infra.testing.jobs import Workshop
from infra.testing.live import Live
from infra.testing.memory import Memory
from infra.testing.road import Road
from infra.testing.schedules import Schedule, Timetable
from infra.testing.stage import Stage
from infra.testing.told import KitError, Mail, Settled, State, Told

H = TypeVar("H", bound=Handler)
#: Who announces the events of a test.
SOURCE = "/test"
#: Dead letters that a test may look at.
_MOST_DEAD = 1_000


class Kit(JobKit):
    """Brings events to consumers by the real delivery code, and shows what they did; see `docs/consumers.md`."""

    def __init__(self, broker: str | None = None) -> None:
        """With the URL of a virtual host of its own it works over a real RabbitMQ, and in real time."""
        self.clock = Clock() if broker is None else RealClock()
        self.database, self._folder = store.make()
        settings = store.settings(Path(self._folder.name))
        self._workshop = Workshop(self.database, settings)
        given = {Settings: settings, Database: self.database, Runner: self._workshop.runner}
        self._provisions: dict[type, object] = {**given}
        running = self._workshop.running
        self._stage = Stage(self.database, self._provisions, owner=running.owner, follow=running.failed)
        self._cast = Cast(self._declare, settings.further_consumers)
        self._timetable = Timetable()
        self._road = _road(self.database, self._stage, broker)
        self._declared: dict[str, Subscription] = {}
        self._own = set()

    def start(self) -> None:
        """Stop the time; the fixture does it."""
        self.clock.start()

    def stop(self) -> None:
        """Let the time go on, and leave nothing behind."""
        self._road.stop()
        self._stage.close()
        self._workshop.close()
        self.clock.stop()
        self.database.close()
        self._folder.cleanup()

    # Who takes part.

    def use(self, *modules: str) -> None:
        """Have the consumers of these modules take part, and no others; a test that names nobody has all of them."""
        for module in modules:
            self._cast.use(module)

    def subscribe(self, consumer: str, **options: Any) -> Callable[[H], H]:
        """Like `@subscribe`, for a handler of this test alone."""
        return self._cast.subscribe(consumer, options)

    def kind(self, name: str, **options: Any) -> Callable[[H], H]:
        """Like `@job`, for a function of this test alone."""
        return self._cast.kind(name, options)

    def schedules(self, timetable: Iterable[Schedule]) -> None:
        """Have these schedules fire when `advance` comes to their due times."""
        self._timetable.add(timetable)

    def provide(self, *things: object) -> None:
        """What handlers get from `context.provided`, by its class; `Settings` and `Database` are there already."""
        self._provisions.update({type(thing): thing for thing in things})

    def templates(self, folder: Path) -> None:
        """Where the mails' templates are, if not in `consumers/templates`."""
        self._stage.use_templates(folder)

    def fail_effects(self, kind: str, *, times: int = 1, error: Exception | None = None) -> None:
        """Let the next effects of this kind (`mail` …) fail, by default for now and not for good."""
        self._stage.fail_effects(kind, times, error)

    # What happens.

    @overload
    def deliver(
        self, event: Event | Envelope | bytes, *, to: str, attempt: int = 1, redelivered: bool = False
    ) -> Told: ...

    @overload
    def deliver(
        self, event: Sequence[Event | Envelope], *, to: str, attempt: int = 1, redelivered: bool = False
    ) -> list[Told]: ...

    def deliver(
        self,
        event: Event | Envelope | bytes | Sequence[Event | Envelope],
        *,
        to: str,
        attempt: int = 1,
        redelivered: bool = False,
    ) -> Told | list[Told]:
        """Bring an event to one consumer, one try; several in a list come as a batch, if it takes batches.

        If it fails, its next try follows when `advance` comes to its time, and a last one goes to the dead letters.

        Raises:
            KitError: there is no such consumer, or it does not take such events.
        """
        subscription = self._members()[self._cast.get(to).consumer]
        several = [event] if isinstance(event, Event | Envelope | bytes) else list(event)
        bodies = [self._body(each, subscription) for each in several]
        told = self._road.deliver(subscription, bodies, attempt=attempt, redelivered=redelivered)
        return told[0] if isinstance(event, Event | Envelope | bytes) else told

    def publish(self, event: Event | Envelope, at: datetime | None = None) -> str:
        """Announce an event, by way of the outbox, as a request does; `settle` brings it to all who take it."""
        envelope = self._envelope(event, at)
        with self.database.transaction() as session:
            self._workshop.expect(session, envelope)
            outbox.add(session, envelope, available_at=at)
        return envelope.id

    def settle(self) -> Settled:
        """Let everything happen that is due: the relay, the consumers, their effects, what they publish in turn.

        Raises:
            KitError: it does not end.
        """
        self._members()
        for envelope in self._timetable.take_due():
            self.publish(envelope)
        return self._road.settle()

    def advance(self, **by: float) -> Settled:
        """Let some `hours`, `minutes`, `seconds` … go by: retries return, what was for later and schedules are due.

        Raises:
            KitError: it does not end; or, with a real broker, the test would have to wait for too long.
        """
        until = self.clock.now + timedelta(**by)
        self.clock.check(until)
        settled = self.settle()
        while (due := self._next_due()) is not None and due <= until:
            self.clock.move_to(max(due, self.clock.now))
            settled += self.settle()
        self.clock.move_to(until)
        settled += self.settle()
        return settled

    # What there is to see.

    def session(self) -> AbstractContextManager[Session]:
        """A transaction on the test's own database, to look at rows or to add some."""
        return self.database.transaction()

    @property
    def told(self) -> list[Told]:
        """All tries so far."""
        return self._stage.told

    @property
    def mails(self) -> list[Mail]:
        """All mails that would have been sent."""
        return self._stage.mails

    @property
    def effects(self) -> list[Intent]:
        """All effects that would have happened, the mails among them."""
        return self._stage.capturing.taken

    @property
    def published(self) -> list[Envelope]:
        """What consumers and schedules announced, also what is to happen later; the test's own events are left out."""
        with self.database.reading() as session:
            return [each for each in reading.events(session) if each.id not in self._own]

    @property
    def dead(self) -> list[DeadLetter]:
        """The dead letters, the oldest first, each with `consumer`, `event_id`, `reason` and `error`."""
        self._road.keep()
        with self.database.reading() as session:
            return dead_letters.page(session, dead_letters.Filter(), limit=_MOST_DEAD)[::-1]

    def state_of(self, event_id: str, consumer: str) -> State:
        """`handled`, `retrying`, `dead`, `filtered`, `waiting` (for its turn), or `pending`: it was not tried yet."""
        self._cast.get(consumer)
        with self.database.reading() as session:
            state = reading.state(session, event_id, consumer)
        tries = [repr(told) for told in self.told if (told.event_id, told.consumer) == (event_id, consumer)]
        return State.of(state, "\n".join(tries) or f"{consumer} was never given this event.")

    def _members(self) -> dict[str, Subscription]:
        if not self._declared:
            self._declare()
        return self._declared

    def _declare(self) -> None:
        self._declared = dict(self._cast.members)
        with self.database.transaction() as session:
            consumers.declare(session, self._declared.values())
        self._road.cast(self._declared.values())

    def _body(self, event: Event | Envelope | bytes, subscription: Subscription) -> bytes:
        if isinstance(event, bytes):
            return event
        envelope = self._envelope(event, None)
        if not subscription.takes(envelope.type):
            types = " and ".join(subscription.types)
            raise KitError(f"{subscription.consumer} does not take {envelope.type}: it is subscribed to {types}.")
        with self.database.transaction() as session:
            self._workshop.expect(session, envelope)
        self._road.log(envelope)
        return encode(envelope)

    def _envelope(self, event: Event | Envelope, at: datetime | None) -> Envelope:
        if isinstance(event, Envelope):
            return event
        time = at if at is not None and at > datetime.now(UTC) else None
        envelope = announce(event, source=SOURCE, time=time)
        self._own.add(envelope.id)
        return envelope

    def _next_due(self) -> datetime | None:
        dues = (self._timetable.next_due, self._road.next_due)
        return min((due for due in dues if due is not None), default=None)


def _road(database: Database, stage: Stage, broker: str | None) -> Road:
    return Memory(database, stage) if broker is None else Live(database, stage, broker)
