"""What Dramatiq runs for a delivery: the handler's side decides the outcome, and the outcome decides the verdict.

Everything that decides lies in here and nothing in a middleware: Dramatiq logs and swallows what a middleware raises,
and then acknowledges.
"""

import itertools
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

import structlog
from dramatiq.middleware import TimeLimitExceeded

from infra.errors import MessageRefused
from infra.faults import failpoint
from infra.outcomes import ComeBack, Done, Hold, Incoming, Outcome, Park, PassedOver, RetryLater
from infra.rabbitmq.dead_letters import dead_message
from infra.rabbitmq.deliveries import Delivery, Verdict
from infra.rabbitmq.messages import Message
from infra.rabbitmq.retries import retry_message, same_try
from infra.rabbitmq.time_limit import HandlerTimeLimit
from infra.rabbitmq.topology import DEAD
from infra.retrying import Retry

#: Seconds between two tries while something that all deliveries need is away: these, then the last again and again.
PAUSES = (1.0, 2.0, 3.0, 4.0, 5.0)
#: Tries to publish a copy, 10 to 20 minutes in all, before the original is given back (which the broker counts).
PUBLISH_TRIES = 120

Try = tuple[Delivery, Incoming]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """One consumer's deliveries, from `handle` to the verdict."""

    consumer: str
    #: Decides several at once; for most consumers "several" is one.
    handle: Callable[[Sequence[Incoming]], Sequence[Outcome]]
    #: Seconds that one call of `handle` may take.
    timeout: float
    #: Publishes and waits for the confirm.
    publish: Callable[[Message], None]
    limit: HandlerTimeLimit
    stopping: threading.Event
    #: Told the consumer, the outcome and the seconds of each call of `handle`.
    observe: Callable[[str, Outcome, float], None]
    #: Whether what escapes from `handle` may end in a copy to a tier or the dead letters; else it is held.
    copies: bool = True

    def run(self, deliveries: Sequence[Delivery]) -> None:
        """Handle deliveries and record what is to become of each; one that must not be started any more is left."""
        tries = []
        for delivery in deliveries:
            delivery.verdict = Verdict.REQUEUE if self._may_go_on(delivery) else Verdict.LEAVE
            if delivery.verdict is Verdict.REQUEUE:
                tries.append((delivery, delivery.incoming()))
        for (delivery, incoming), outcome in zip(tries, self._outcomes(tries), strict=True):
            delivery.verdict = self._settle(delivery, incoming, outcome)

    def _outcomes(self, tries: list[Try]) -> list[Outcome]:
        """Ask for decisions, and again for those that are held, until there are none or we must stop."""
        outcomes = self._attempt(tries)
        for pause in _pauses():
            held = [number for number, one in enumerate(outcomes) if isinstance(one, Hold) and not one.alone]
            if not held:
                break
            first, outcome = tries[held[0]][0], outcomes[held[0]]
            self._warn("delivery held", first, getattr(outcome, "error", ""), again_in=pause, deliveries=len(held))
            if not self._go_on_after(pause, first):
                break
            for number, again in zip(held, self._attempt([tries[number] for number in held]), strict=True):
                outcomes[number] = again
        return outcomes

    def _attempt(self, tries: list[Try]) -> list[Outcome]:
        if not tries:
            return []
        started = time.perf_counter()
        try:
            outcomes = list(self.limit.call(self.handle, [incoming for _, incoming in tries], self.timeout))
        except BaseException as error:  # noqa: BLE001  # even an interrupt or a SystemExit must end in a decision
            outcomes = [self._after_escape(*one, error) for one in tries]
        seconds = (time.perf_counter() - started) / len(tries)
        for outcome in outcomes:
            self.observe(self.consumer, outcome, seconds)
        return outcomes

    def _after_escape(self, delivery: Delivery, incoming: Incoming, error: BaseException) -> Outcome:
        """For what nobody foresaw: a further try in case it passes, and an end in case it does not."""
        name = f"internal: {type(error).__name__}"
        self._warn("handling failed", delivery, name, where=_where(error))
        if not self.copies or (self.stopping.is_set() and isinstance(error, TimeLimitExceeded)):
            return Hold(name)  # not the event's fault, so it costs no try
        delays = Retry.DEFAULT.delays
        if incoming.attempt > len(delays):
            return Park("handler-error", name, attempt=incoming.attempt)
        return RetryLater(delays[incoming.attempt - 1], name, attempt=incoming.attempt)

    def _settle(self, delivery: Delivery, incoming: Incoming, outcome: Outcome) -> Verdict:
        match outcome:
            case Done() | PassedOver():
                failpoint("delivery.before-ack", self.consumer)
                return Verdict.ACK
            case RetryLater():
                copy = retry_message(
                    delivery.message(),
                    consumer=self.consumer,
                    delay=outcome.delay,
                    attempt=incoming.attempt,
                    error=outcome.error,
                )
            case ComeBack(delay=delay, reason=reason):
                copy = same_try(
                    delivery.message(), consumer=self.consumer, delay=delay, attempt=incoming.attempt, reason=reason
                )
            case Park():
                copy = dead_message(delivery.message(), outcome, consumer=self.consumer, attempt=incoming.attempt)
            case Hold():
                return Verdict.REQUEUE if outcome.alone else Verdict.LEAVE
            case _:
                assert_never(outcome)
        return self._replace(delivery, copy)

    def _replace(self, delivery: Delivery, copy: Message) -> Verdict:
        # The original is safe as long as it is not acknowledged: so wait for the broker rather than give it back, which
        # the broker counts toward the delivery limit.
        for pause in itertools.islice(_pauses(), PUBLISH_TRIES):
            try:
                self.publish(copy)
                failpoint("dead.before-ack" if copy.exchange == DEAD else "retry.before-ack", self.consumer)
                return Verdict.ACK
            except MessageRefused as error:
                self._warn("copy refused, so the broker moves the original", delivery, str(error))
                return Verdict.REJECT
            except Exception as error:  # noqa: BLE001  # whatever it was: not confirmed means not acknowledged
                self._warn("copy not published", delivery, f"{type(error).__name__}: {error}", again_in=pause)
            if not self._go_on_after(pause, delivery):
                return Verdict.LEAVE
        return Verdict.REQUEUE

    def _go_on_after(self, pause: float, delivery: Delivery) -> bool:
        self.stopping.wait(pause)
        return self._may_go_on(delivery)

    def _may_go_on(self, delivery: Delivery) -> bool:
        return delivery.live and not self.stopping.is_set()

    def _warn(self, event: str, delivery: Delivery, error: str, **more: object) -> None:
        log.warning(
            event,
            consumer=self.consumer,
            message_id=delivery.message_id,
            type=delivery.properties.type,
            size=len(delivery.body),
            error=error,
            **more,
        )


def _pauses() -> Iterator[float]:
    return itertools.chain(PAUSES, itertools.repeat(PAUSES[-1]))


def _where(error: BaseException) -> str:
    """File and line only: an error's text may quote the body."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
