"""The copy of a message that its consumer gives up, for the queue `dead-letters`."""

from dataclasses import replace

from infra.rabbitmq.messages import Message
from infra.rabbitmq.retries import own_headers
from infra.rabbitmq.topology import DEAD

#: Header: one of the durable reasons, such as `handler-error` or `not-json`.
REASON = "x-tidings-reason"


def dead_message(original: Message, *, consumer: str, reason: str, attempt: int, error: str) -> Message:
    """A copy for the dead letters that says who gave it up, after how many tries, and why."""
    headers = {**own_headers(original, consumer=consumer, attempt=attempt, error=error), REASON: reason}
    return replace(original, exchange=DEAD, routing_key=consumer, headers=headers)
