"""A delivery as it would be: the real delivery code, with effects captured instead of performed."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache, partial, wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from events.envelope import decode
from events.errors import UndecodableEvent
from infra import effects
from infra.context import DeliveryContext
from infra.database import inbox
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.effects import Intent, Performer
from infra.failing import Failing, Follow, alone
from infra.mail import Templates
from infra.outcomes import Incoming, Outcome
from infra.rabbitmq.time_limit import HandlerTimeLimit
from infra.subscriptions import Handler, Subscription

#: The effect that a program with a mail server has beside those that modules register.
MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one message, and what it did."""

    outcome: Outcome
    #: What the handler was given at its last run; None: it was not called.
    context: DeliveryContext | None = None
    #: Why the try failed.
    error: BaseException | None = None
    #: Effects that would have happened, in order.
    effects: tuple[Intent, ...] = ()


class Capturing(Mapping[str, Performer]):
    """Takes the effects that this program could perform, and performs none; one that nobody registered is refused."""

    def __init__(self, before: Callable[[Intent], None] = lambda _: None) -> None:
        """`before` is asked about each effect; what it raises is the effect's failure."""
        self.taken: list[Intent] = []
        self._before = before

    def __getitem__(self, kind: str) -> Performer:
        if kind not in self._kinds():
            raise KeyError(kind)
        return self._take

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds())

    def __len__(self) -> int:
        return len(self._kinds())

    def _kinds(self) -> set[str]:
        """Asked anew each time: a module that is imported later may register more."""
        return {MAIL, *effects.performers()}

    def _take(self, intent: Intent) -> None:
        self._before(intent)
        self.taken.append(intent)


def templates() -> Templates:
    """Those of the consumers' program, which a library can find by name only."""
    package = find_spec("consumers")
    folders = package.submodule_search_locations if package else None
    return Templates(Path(folders[0] if folders else ".", "templates"))


@dataclass(slots=True)
class _Account:
    """What one call is seen to do, by event id."""

    contexts: dict[str, DeliveryContext] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Watched(Subscription):
    """A consumer that keeps an account of what it does."""

    account: _Account = field(default_factory=_Account, repr=False, compare=False)


class _Telling(Failing):
    """Decides as always, and remembers the error itself: of it the inbox keeps one line only."""

    def outcome(
        self, subscription: Subscription, delivery: inbox.Delivery, happened_at: datetime, error: BaseException
    ) -> Outcome:
        """What becomes of the event."""
        if isinstance(subscription, _Watched):
            subscription.account.errors[delivery.event_id] = error
        return super().outcome(subscription, delivery, happened_at, error)


class Rehearsal:
    """Plays messages through subscriptions; may be called by several threads."""

    def __init__(
        self,
        database: Database,
        effects: Capturing,
        *,
        provisions: Mapping[type, object] | None = None,
        owner: str | None = None,
        follow: Follow = alone,
    ) -> None:
        self._effects = effects
        failing = _Telling(database, follow)
        self._deliveries = Deliveries(database, effects, provisions=provisions, failing=failing, owner=owner)

    def play(self, subscription: Subscription, incoming: Sequence[Incoming]) -> list[Played]:
        """Deliver these messages, in one batch if the consumer takes batches."""
        account, already = _Account(), len(self._effects.taken)
        outcomes = self._deliveries.handler(_watched(subscription, account))(incoming)
        done = self._effects.taken[already:]
        return [
            self._played(subscription.consumer, one, outcome, account, done)
            for one, outcome in zip(incoming, outcomes, strict=True)
        ]

    def play_in_time(self, subscription: Subscription, incoming: Sequence[Incoming]) -> list[Played]:
        """The same where no worker does it: a handler that takes longer than its consumer's limit is interrupted."""
        return _limit().call(partial(self.play, subscription), incoming, subscription.timeout)

    def close(self) -> None:
        """End what runs beside the handlers."""
        self._deliveries.close()

    def _played(
        self, consumer: str, one: Incoming, outcome: Outcome, account: _Account, done: Sequence[Intent]
    ) -> Played:
        try:
            event_id = decode(one.body).id
        except UndecodableEvent:
            return Played(outcome)
        own = tuple(each for each in done if (each.event_id, each.consumer) == (event_id, consumer))
        return Played(outcome, account.contexts.get(event_id), account.errors.get(event_id), own)


@cache
def _limit() -> HandlerTimeLimit:
    """One for the process, with a thread that looks at the clock."""
    limit = HandlerTimeLimit()
    limit.thread.start()
    return limit


def _watched(subscription: Subscription, account: _Account) -> Subscription:
    same = {each.name: getattr(subscription, each.name) for each in fields(subscription)}
    return _Watched(**same | {"handler": _noting(subscription.handler, account), "account": account})


def _noting(handler: Handler, account: _Account) -> Handler:
    """The handler, whose contexts are written down before it is called."""

    def note(arguments: Sequence[Any]) -> None:
        contexts = arguments[0] if isinstance(arguments[0], list) else [arguments[1]]
        account.contexts.update({context.event_id: context for context in contexts})

    if inspect.iscoroutinefunction(handler):

        @wraps(handler)
        async def noted_later(*arguments: Any) -> None:
            note(arguments)
            await handler(*arguments)

        return noted_later

    @wraps(handler)
    def noted(*arguments: Any) -> None:
        note(arguments)
        handler(*arguments)

    return noted
