"""A batch: many events in one transaction, from the claim to the commit; the effects are not done here."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from sqlmodel import Session

from infra import commits, metrics
from infra.calling import Calling
from infra.context import DeliveryContext
from infra.database import inbox
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable
from infra.failing import Failing
from infra.outcomes import Done, Hold, Outcome
from infra.spells import Spell
from infra.subscriptions import Subscription
from infra.tries import Try

_log = structlog.get_logger(__name__)
#: Tries by their place in what was delivered together.
Places = Mapping[int, Try]
#: They go back to the queue, which counts no try, and are alone when they come again.
_LEFT = Hold("the batch that it was in failed, and its time is over", alone=True)


@dataclass(frozen=True, slots=True)
class Part:
    """What is tried in one transaction."""

    wanted: dict[int, Try] = field(default_factory=dict)
    #: To be settled without the handler.
    unwanted: dict[int, Try] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.wanted or self.unwanted)

    def smaller(self) -> list["Part"]:
        """What to try after it has failed, the first last; what has failed alone is not among it."""
        places, middle = list(self.wanted), (len(self.wanted) + 1) // 2
        halves = [places[middle:], places[:middle]] if len(places) > 1 else []
        rest = [Part(unwanted=self.unwanted)] if self.wanted and self.unwanted else []
        return [*rest, *(Part({place: self.wanted[place] for place in half}) for half in halves)]


@dataclass(frozen=True, slots=True)
class Batched:
    """What became of a batch, by place; what is in neither has to be delivered alone."""

    #: Those that are committed: their effects are to follow.
    committed: dict[int, DeliveryContext] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def hold(self, parts: Iterable[Part], outcome: Hold) -> None:
        """Nothing was done for these."""
        for part in parts:
            self.outcomes.update(dict.fromkeys(part.wanted | part.unwanted, outcome))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """Calls the handlers that take many events at once."""

    database: Database
    calling: Calling
    failing: Failing
    #: Makes what the handler is given.
    context: Callable[[Subscription, Try, Callable[[], Session]], DeliveryContext]
    #: Names who performs the effects.
    owner: str
    is_stopping: Callable[[], bool]

    def handle(self, subscription: Subscription, new: Places, spell: Spell) -> Batched:
        """Handle these in one transaction, the unwanted among them settled in it, too.

        When that fails each half is tried in a transaction of its own, and so on: one bad event among 500 is found by
        some twenty transactions and fails alone, for the first time; all others are handled in batches.
        """
        done = Batched()
        parts = [_sorted_out(subscription, new)]
        while parts:
            part = parts.pop()
            try:
                parts += self._tried(subscription, part, done)
            except DatabaseUnavailable as error:
                done.hold([part, *parts], Hold(str(error)))
                break
            except BaseException as error:
                if self.is_stopping() or isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                self._interrupted(subscription, part, error, done)
                done.hold(parts, _LEFT)
                break
            if spell.is_over or self.is_stopping():
                done.hold(parts, _LEFT)
                break
        return done

    def _tried(self, subscription: Subscription, part: Part, done: Batched) -> list[Part]:
        """Try a part; gives what is to be tried in its place."""
        try:
            done.committed.update(self._run(subscription, part))
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # one of them is at fault
            if len(part.wanted) == 1:
                done.outcomes.update(self._failed(subscription, part.wanted, error))
            else:
                _tell(subscription, part, error)
            return part.smaller()
        done.outcomes.update(dict.fromkeys(part.unwanted, Done(filtered=True)))
        return []

    def _interrupted(self, subscription: Subscription, part: Part, error: BaseException, done: Batched) -> None:
        """Each of them alone might be interrupted, too, and nothing is left of the time: they come back one by one."""
        done.outcomes.update(self._failed(subscription, part.wanted | part.unwanted, error))

    def _failed(self, subscription: Subscription, some: Places, error: BaseException) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for number, one in some.items():
            outcomes[number] = self.failing.outcome(subscription, one.delivery, one.since, error)
            if isinstance(outcomes[number], Hold):  # the database is away, which each of them would wait to learn
                return dict.fromkeys(some, outcomes[number]) | outcomes
        return outcomes

    def _run(self, subscription: Subscription, part: Part) -> dict[int, DeliveryContext]:
        if not part:
            return {}
        with self.database.transaction() as session:
            deliveries, others = ([one.delivery for one in some.values()] for some in (part.wanted, part.unwanted))
            claimed = inbox.claim_new(session, deliveries, others)
            contexts = {
                number: self.context(subscription, one, lambda: session)
                for number, one in part.wanted.items()
                if one.delivery.event_id in claimed
            }
            with metrics.HANDLER.labels(subscription.consumer).time():
                if contexts:
                    self.calling.call_with(subscription, list(contexts.values()))
            for context in contexts.values():
                commits.write(session, context, self.owner)
        return contexts


def _sorted_out(subscription: Subscription, new: Places) -> Part:
    """Those that the consumer wants, and those that it does not; one that its guard fails at is delivered alone."""
    part = Part()
    for number, one in new.items():
        with suppress(Exception):
            (part.wanted if subscription.wants(one.envelope.data) else part.unwanted)[number] = one
    return part


def _tell(subscription: Subscription, part: Part, error: Exception) -> None:
    name = type(error).__name__
    _log.warning("batch failed, so it is halved", consumer=subscription.consumer, events=len(part.wanted), error=name)
