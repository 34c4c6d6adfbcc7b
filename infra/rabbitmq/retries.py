"""The copy of a message that waits in a retry tier and then returns to its one consumer."""

from dataclasses import replace
from typing import Any

from infra.rabbitmq.messages import ATTEMPT, BACKFILL, DEAD_LETTER, REPLAY, TRACEPARENT, Message
from infra.rabbitmq.topology import tier_at_least

#: Header: whose delivery failed; also the routing key.
CONSUMER = "x-tidings-consumer"
#: Header: what went wrong, one line.
ERROR = "x-tidings-error"
#: Characters of an error in a header.
LONGEST_ERROR = 500
#: Characters of a header that is handed on: all headers of a message must fit into one frame (128 KiB).
_LONGEST_KEPT = 100


def retry_message(original: Message, *, consumer: str, delay: float, attempt: int, error: str) -> Message:
    """A copy for the tier that waits at least `delay` seconds; `attempt` is the number of the try that failed."""
    headers = own_headers(original, consumer=consumer, attempt=attempt + 1, error=error)
    return replace(original, exchange=tier_at_least(delay)[1], routing_key=consumer, headers=headers)


def same_try(original: Message, *, consumer: str, delay: float, attempt: int, reason: str) -> Message:
    """A copy for the same tier that counts as the same try, as that did not take place."""
    return retry_message(original, consumer=consumer, delay=delay, attempt=attempt - 1, error=reason)


def own_headers(original: Message, *, consumer: str, attempt: int, error: str) -> dict[str, Any]:
    """Fresh headers: of the original's only our own are kept, for the broker would count a copied `x-death` on."""
    kept = {name: original.headers.get(name) for name in (TRACEPARENT, DEAD_LETTER, BACKFILL)}
    return {
        ATTEMPT: attempt,
        CONSUMER: consumer,
        ERROR: " ".join(error.split())[:LONGEST_ERROR],
        **{name: value for name, value in kept.items() if isinstance(value, str) and len(value) <= _LONGEST_KEPT},
        **({REPLAY: True} if original.headers.get(REPLAY) is True else {}),
    }
