"""A batch: many events in one transaction, from the claim to the commit; the effects are not done here."""

from collections.abc import Callable, Mapping
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
from infra.subscriptions import Subscription
from infra.tries import Try

_log = structlog.get_logger(__name__)
#: Tries by their place in what was delivered together.
Places = Mapping[int, Try]


@dataclass(frozen=True, slots=True)
class Batched:
    """What became of a batch, by place; what is in neither has to be delivered alone."""

    #: Those that are committed: their effects are to follow.
    committed: dict[int, DeliveryContext] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)


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

    def handle(self, subscription: Subscription, new: Places) -> Batched:
        """Handle these in one transaction, the unwanted among them settled in it, too."""
        wanted, unwanted = _sorted_out(subscription, new)
        both = wanted | unwanted
        try:
            committed = self._run(subscription, wanted, unwanted)
        except DatabaseUnavailable as error:
            return Batched(outcomes=dict.fromkeys(both, Hold(str(error))))
        except Exception as error:  # noqa: BLE001  # one of them is at fault, and each alone will show which
            _log.warning("batch failed", consumer=subscription.consumer, events=len(both), error=type(error).__name__)
            return Batched()
        except BaseException as error:  # interrupted, and so would be each alone: they come back one by one
            if self.is_stopping() or isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return Batched(outcomes={number: self._failed(subscription, one, error) for number, one in both.items()})
        return Batched(committed, {number: Done(filtered=True) for number in unwanted})

    def _failed(self, subscription: Subscription, one: Try, error: BaseException) -> Outcome:
        return self.failing.outcome(subscription, one.delivery, one.since, error)

    def _run(self, subscription: Subscription, wanted: Places, unwanted: Places) -> dict[int, DeliveryContext]:
        if not wanted and not unwanted:
            return {}
        with self.database.transaction() as session:
            deliveries, others = ([one.delivery for one in some.values()] for some in (wanted, unwanted))
            claimed = inbox.claim_new(session, deliveries, others)
            contexts = {
                number: self.context(subscription, one, lambda: session)
                for number, one in wanted.items()
                if one.delivery.event_id in claimed
            }
            with metrics.HANDLER.labels(subscription.consumer).time():
                if contexts:
                    self.calling.call_with(subscription, list(contexts.values()))
            for context in contexts.values():
                commits.write(session, context, self.owner)
        return contexts


def _sorted_out(subscription: Subscription, new: Places) -> tuple[dict[int, Try], dict[int, Try]]:
    """Those that the consumer wants, and those that it does not; one that its guard fails at is delivered alone."""
    wanted: dict[int, Try] = {}
    unwanted: dict[int, Try] = {}
    for number, one in new.items():
        with suppress(Exception):
            (wanted if subscription.wants(one.envelope.data) else unwanted)[number] = one
    return wanted, unwanted
