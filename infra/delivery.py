"""Messages, from their bytes to their outcomes: decode, handle and commit once, perform the effects, settle."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial

from sqlmodel import Session

from infra import commits, metrics, tries
from infra.batching import Batching
from infra.calling import Calling
from infra.context import DeliveryContext
from infra.database import dead_letters, erasures, inbox
from infra.database.engine import Database
from infra.effects import Intent, Performer
from infra.errors import Busy, DatabaseUnavailable
from infra.failing import Failing
from infra.faults import failpoint
from infra.ordering import Ordering
from infra.outcomes import Done, Hold, Incoming, Outcome, Park, PassedOver
from infra.performing import Performing
from infra.spells import Spell
from infra.subscriptions import Subscription
from infra.tries import Try

#: What ends a try without being its failure.
_DECIDED = (
    DatabaseUnavailable, Busy, commits.GivenUp, commits.Overtaken, commits.Postponed, KeyboardInterrupt, SystemExit,
)  # fmt: skip
_LATER = Hold("what came with it took long")


class Deliveries:
    """Makes, for each subscription, the function that the broker calls with messages."""

    def __init__(  # noqa: PLR0913  # each has a default
        self,
        database: Database,
        performers: Mapping[str, Performer],
        *,
        provisions: Mapping[type, object] | None = None,
        failing: Failing | None = None,
        owner: str | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Remember; `provisions` is what handlers may ask for, `failing` decides on failures.

        `owner` is this process's name, where others need to know it too.
        """
        self._database = database
        self._provisions = provisions or {}
        self._performing = Performing(database, performers, owner)
        self._calling = Calling()
        self._failing = failing or Failing(database)
        self._ordering = Ordering(database)
        self._erased = erasures.Known(database)
        self._is_stopping = is_stopping
        self._batching = Batching(
            database=database,
            calling=self._calling,
            failing=self._failing,
            context=self._context,
            owner=self._performing.owner,
            is_stopping=is_stopping,
        )

    def handler(self, subscription: Subscription) -> Callable[[Sequence[Incoming]], list[Outcome]]:
        """What to do with messages of this subscription's queue."""
        return partial(self._deliver_all, subscription)

    def close(self) -> None:
        """End what runs beside the handlers, where it must not last as long as the process."""
        self._calling.close()

    def _deliver_all(self, subscription: Subscription, incoming: Sequence[Incoming]) -> list[Outcome]:
        these = [tries.read(subscription, each) for each in incoming]
        spell = Spell(subscription.timeout)
        outcomes = self._in_batch(subscription, these, spell) if subscription.batch else {}
        outcomes |= self._one_by_one(
            subscription, {number: one for number, one in enumerate(these) if number not in outcomes}, spell
        )
        return [self._closed(subscription, one, outcomes[number]) for number, one in enumerate(incoming)]

    def _one_by_one(
        self, subscription: Subscription, these: Mapping[int, Try | Park | Done], spell: Spell
    ) -> dict[int, Outcome]:
        known = {number: one for number, one in these.items() if not isinstance(one, Try)}
        steps = {
            number: partial(self._alone, subscription, one) for number, one in these.items() if isinstance(one, Try)
        }
        return known | _in_turn(steps, spell)

    def _alone(self, subscription: Subscription, one: Try) -> Outcome:
        settle = partial(self._settle, subscription, one, partial(self._handle, subscription, one))
        return self._ordering.in_turn(one.delivery, subscription.types, settle) if subscription.ordered else settle()

    def _closed(self, subscription: Subscription, incoming: Incoming, outcome: Outcome) -> Outcome:
        """Close the dead letter that was replayed, once nothing is left to do; a crash before it repeats only this."""
        if incoming.dead_letter is None or not incoming.replay or not isinstance(outcome, Done):
            return outcome
        try:
            close = partial(dead_letters.close_handled, dead_letter_id=incoming.dead_letter)
            self._database.run(partial(close, consumer=subscription.consumer))
        except DatabaseUnavailable as error:
            return Hold(str(error))
        return outcome

    def _settle(self, subscription: Subscription, one: Try, handle: Callable[[], Sequence[Intent] | None]) -> Outcome:
        try:
            with self._performing.sole(one.delivery):
                return self._end(subscription, one, handle)
        except (commits.GivenUp, commits.Overtaken):
            return PassedOver()
        except commits.Postponed as postponed:
            return self._failing.postponed(one.delivery, postponed)
        except (DatabaseUnavailable, Busy) as error:
            if isinstance(error, Busy) and subscription.job is not None:  # which may take an hour
                return self._failing.postponed(one.delivery, commits.Postponed(str(error)))
            return Hold(str(error))

    def _end(self, subscription: Subscription, one: Try, handle: Callable[[], Sequence[Intent] | None]) -> Outcome:
        try:
            intents = handle()
            if intents is None:
                return Done(filtered=True)
            failpoint("delivery.after-commit", one.consumer)
            self._performing.perform(intents)
        except _DECIDED:
            raise
        except BaseException as error:  # a time limit is no Exception; whatever ended the handler counts
            if self._is_stopping() and not isinstance(error, Exception):
                raise  # it is we who interrupted it, and that costs the event no try
            return self._failed(subscription, one, error)
        age = datetime.now(UTC) - one.since
        metrics.END_TO_END.labels(subscription.consumer).observe(age.total_seconds())
        return Done()

    def _failed(self, subscription: Subscription, one: Try, error: BaseException) -> Outcome:
        return self._failing.outcome(subscription, one.delivery, one.since, error)

    def _handle(self, subscription: Subscription, one: Try) -> Sequence[Intent] | None:
        """Run the handler unless its work is committed already; gives the effects that are still owed.

        None when the consumer does not want the event, or nobody is to have it any more.

        A first delivery is not looked up: the claim finds out, at the cost of a handler's run that leaves no trace.
        """
        if self._erased.has(one.delivery.subject, one.delivery.event_id):
            self._drop(one)
            return None
        entry = None if one.looks_new else self._look(one.delivery)
        if entry is None or not entry.is_through:
            with suppress(commits.AlreadyHandled):
                return self._run_if_wanted(subscription, one)
            if self._erased.confirms(one.delivery.subject, one.delivery.event_id):
                self._drop(one)
                return None
            if subscription.ordered:
                self._ordering.require_open(one.delivery)
        elif entry.is_settled:
            return None if entry.state == "filtered" else ()
        return self._performing.owed(one.delivery)

    def _drop(self, one: Try) -> None:
        self._database.run(partial(inbox.erase, delivery=one.delivery))

    def _look(self, delivery: inbox.Delivery) -> inbox.Entry | None:
        with self._database.reading() as session:
            return inbox.look(session, delivery.event_id, delivery.consumer)

    def _run_if_wanted(self, subscription: Subscription, one: Try) -> Sequence[Intent] | None:
        """Else the event is settled in one statement, which shares its commit with others."""
        if subscription.wants(one.envelope.data):
            return self._run(subscription, one)
        if not self._database.run(partial(inbox.filter_out, delivery=one.delivery)):
            raise commits.AlreadyHandled
        return None

    def _run(self, subscription: Subscription, one: Try) -> Sequence[Intent]:
        """The handler in its transaction; one that asks for none shares a transaction with others."""
        stack = ExitStack()
        context = self._context(subscription, one, partial(commits.begun, stack, self._database, one.delivery))
        with commits.followed(context):
            with stack:
                with metrics.HANDLER.labels(one.consumer).time():
                    self._calling.call(subscription, context)
                if has_begun := context.has_begun:
                    commits.require_wanted(context.session, one.delivery)
                    commits.write(context.session, context, self._performing.owner)
            through = commits.Through(context, one.delivery, self._performing.owner)
            if not (has_begun or self._database.join(commits.claim_and_write, through)):
                raise commits.AlreadyHandled
        return self._performing.anew([*context.owed, *context.intents])

    def _context(self, subscription: Subscription, one: Try, begin: Callable[[], Session]) -> DeliveryContext:
        attempt, publishes = one.delivery.attempt, subscription.publishes
        return DeliveryContext(one.envelope, one.consumer, attempt, one.is_replay, begin, self._provisions, publishes)

    def _in_batch(
        self, subscription: Subscription, these: Sequence[Try | Park | Done], spell: Spell
    ) -> dict[int, Outcome]:
        """What the broker gives once more was published before what is new, so it is handled first, each alone.

        Whoever is missing in the result has to be delivered alone, too.
        """
        again = {number: one for number, one in enumerate(these) if isinstance(one, Try) and one.incoming.redelivered}
        outcomes = self._one_by_one(subscription, again, spell)
        new = self._not_erased(_first_of_each(these))
        if again and spell.is_over:
            return outcomes | dict.fromkeys(new, _LATER)
        batched = self._batching.handle(subscription, new, spell)
        effects = {
            number: partial(self._settle, subscription, new[number], partial(self._performing.anew, context.intents))
            for number, context in batched.committed.items()
        }
        return outcomes | batched.outcomes | _in_turn(effects, spell)

    def _not_erased(self, new: Mapping[int, Try]) -> dict[int, Try]:
        """Those that are not to be settled alone; while the database is away none of them will be."""
        with suppress(DatabaseUnavailable):
            return {
                number: one
                for number, one in new.items()
                if not self._erased.has(one.delivery.subject, one.delivery.event_id)
            }
        return dict(new)


def _in_turn(steps: Mapping[int, Callable[[], Outcome]], spell: Spell) -> dict[int, Outcome]:
    """Do one after the other; when the time is over, what has not begun waits for a call with time of its own."""
    outcomes: dict[int, Outcome] = {}
    for number, step in steps.items():
        outcomes[number] = _LATER if outcomes and spell.is_over else step()
    return outcomes


def _first_of_each(these: Sequence[Try | Park | Done]) -> dict[int, Try]:
    """What looks new, by its place; of two copies in one batch only the first."""
    new: dict[str, tuple[int, Try]] = {}
    for number, one in enumerate(these):
        if isinstance(one, Try) and one.looks_new:
            new.setdefault(one.delivery.event_id, (number, one))
    return dict(new.values())
