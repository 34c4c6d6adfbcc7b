"""The messages that a delivery of a test begins and ends with, as on the bus."""

from infra.outcomes import ComeBack, Done, Hold, Outcome, Park, PassedOver, RetryLater
from infra.rabbitmq.dead_letters import dead_message
from infra.rabbitmq.messages import ATTEMPT, Message, resent_message
from infra.rabbitmq.retries import retry_message, same_try


def first(consumer: str, body: bytes, attempt: int) -> Message:
    """To one consumer alone, as its try of this number."""
    made = resent_message(consumer, body, name="", event_type=None, dead_letter=None)
    made.headers[ATTEMPT] = attempt
    return made


def after(message: Message, outcome: Outcome, *, consumer: str, attempt: int) -> Message | None:
    """The copy that goes to a retry tier or to the dead letters; None when there is none."""
    match outcome:
        case RetryLater(delay=delay, error=error):
            return retry_message(message, consumer=consumer, delay=delay, attempt=attempt, error=error)
        case ComeBack(delay=delay, reason=reason):
            return same_try(message, consumer=consumer, delay=delay, attempt=attempt, reason=reason)
        case Park():
            return dead_message(message, outcome, consumer=consumer, attempt=attempt)
        case Done() | PassedOver() | Hold():
            return None
