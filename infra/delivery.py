"""One message, from its bytes to its outcome: decode, handle and commit once, perform the effects, settle."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlmodel import Session

from events.envelope import Envelope, decode
from events.errors import UndecodableEvent
from infra import metrics
from infra.context import DeliveryContext
from infra.database import effects, inbox, outbox
from infra.database.engine import Database
from infra.effects import Intent, Performer
from infra.errors import DatabaseUnavailable, EffectRefused, EffectUnknown
from infra.outcomes import Done, Hold, Incoming, Outcome, Park, RetryLater
from infra.subscriptions import Subscription

_log = structlog.get_logger(__name__)
#: Characters of an error's text that are kept.
_LONGEST_ERROR = 500


class AlreadyHandled(BaseException):
    """Another delivery of the same event came first: undo this one. No Exception, so that no handler swallows it."""


class Deliveries:
    """Makes, for each subscription, the function that the broker calls with a message."""

    def __init__(self, database: Database, performers: Mapping[str, Performer]) -> None:
        self._database = database
        self._performers = performers

    def handler(self, subscription: Subscription) -> Callable[[Incoming], Outcome]:
        """What to do with a message of this subscription's queue."""
        return partial(self._deliver, subscription)

    def _deliver(self, subscription: Subscription, incoming: Incoming) -> Outcome:
        try:
            envelope = decode(incoming.body)
        except UndecodableEvent as error:
            return Park(error.reason, str(error))
        delivery = inbox.Delivery(envelope.id, subscription.consumer, incoming.attempt, datetime.now(UTC))
        try:
            return self._settle(subscription, incoming, envelope, delivery)
        except DatabaseUnavailable as error:
            return Hold(str(error))

    def _settle(
        self, subscription: Subscription, incoming: Incoming, envelope: Envelope, delivery: inbox.Delivery
    ) -> Outcome:
        try:
            self._perform(self._handle(subscription, incoming, envelope, delivery), delivery)
        except (DatabaseUnavailable, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  # a time limit is no Exception; whatever ended the handler counts
            return self._failed(subscription, delivery, error)
        metrics.END_TO_END.labels(subscription.consumer).observe((datetime.now(UTC) - envelope.time).total_seconds())
        return Done()

    def _handle(
        self, subscription: Subscription, incoming: Incoming, envelope: Envelope, delivery: inbox.Delivery
    ) -> Sequence[Intent]:
        """Run the handler unless its work is committed already; gives the effects that are still owed.

        A first delivery is not looked up: the claim finds out, at the cost of a handler's run that leaves no trace.
        """
        entry = self._look(delivery) if incoming.redelivered or incoming.attempt > 1 or incoming.replay else None
        if entry is None or not entry.is_through:
            try:
                return self._run(subscription, incoming, envelope, delivery)
            except AlreadyHandled:
                pass
        elif entry.state == "handled":
            return ()
        with self._database.reading() as session:
            return effects.unsent(session, delivery.event_id, delivery.consumer)

    def _look(self, delivery: inbox.Delivery) -> inbox.Entry | None:
        with self._database.reading() as session:
            return inbox.look(session, delivery.event_id, delivery.consumer)

    def _run(
        self, subscription: Subscription, incoming: Incoming, envelope: Envelope, delivery: inbox.Delivery
    ) -> Sequence[Intent]:
        with self._database.transaction() as session:
            context = DeliveryContext(
                envelope, delivery.consumer, delivery.attempt, incoming.replay, lambda: _claimed(session, delivery)
            )
            with metrics.HANDLER.labels(delivery.consumer).time():
                subscription.handler(envelope.data, context)
            _ = context.session
            if context.intents:
                inbox.owe_effects(session, delivery.event_id, delivery.consumer)
                effects.intend(session, context.intents)
            outbox.add_all(session, context.published)
        return context.intents

    def _perform(self, intents: Sequence[Intent], delivery: inbox.Delivery) -> None:
        for intent in intents:
            self._perform_one(intent)
            with self._database.transaction() as session:
                effects.mark_sent(session, intent)
                if intent is intents[-1]:
                    inbox.settle(session, delivery.event_id, delivery.consumer)

    def _perform_one(self, intent: Intent) -> None:
        performer = self._performers.get(intent.kind)
        try:
            if performer is None:
                raise EffectRefused(f"No effect is registered as {intent.kind!r}: is its module imported here?")
            performer(intent)
        except BaseException as error:
            with self._database.transaction() as session:
                effects.mark_failed(session, intent, _text(error), unknown=isinstance(error, EffectUnknown))
            raise

    def _failed(self, subscription: Subscription, delivery: inbox.Delivery, error: BaseException) -> Outcome:
        text = _text(error)
        delay = None if isinstance(error, EffectRefused) else subscription.retry.delay_after(delivery.attempt)
        with self._database.transaction() as session:
            inbox.fail(session, delivery, text, "dead" if delay is None else "retrying")
        _log.warning(
            "delivery failed",
            consumer=delivery.consumer,
            event_id=delivery.event_id,
            attempt=delivery.attempt,
            retry_in=delay,
            error=text,
            where=_where(error),
        )
        return Park("handler-error", text) if delay is None else RetryLater(delay, text)


def _claimed(session: Session, delivery: inbox.Delivery) -> Session:
    """The transaction, with the event claimed in it: its first statement, before any of the handler's own."""
    if not inbox.claim(session, delivery):
        raise AlreadyHandled
    return session


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


def _where(error: BaseException) -> str | None:
    """The innermost line of the failing code, without the values that a full traceback may show."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
