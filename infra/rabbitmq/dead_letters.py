"""The copy of a message that its consumer gives up, for the queue `dead-letters`."""

from dataclasses import replace
from datetime import UTC, datetime

from infra.outcomes import Park
from infra.rabbitmq.link import properties
from infra.rabbitmq.messages import ATTEMPT, Message
from infra.rabbitmq.moving import Sent, Taken
from infra.rabbitmq.retries import own_headers
from infra.rabbitmq.topology import DEAD
from infra.version import version

#: Header: one of the durable reasons, such as `handler-error` or `not-json`.
REASON = "x-tidings-reason"
#: Header: class of the exception with its module; missing where there was none.
EXCEPTION = "x-tidings-exception"
#: Header: `file:line in function` of the first frame of the application's own; missing where there was none.
FRAME = "x-tidings-frame"
#: Header: when the first try began, ISO 8601 in UTC.
FIRST_FAILED_AT = "x-tidings-first-failed-at"
#: Header: when it was given up, ISO 8601 in UTC.
FAILED_AT = "x-tidings-failed-at"
#: Header: the version of Tidings that gave it up.
VERSION = "x-tidings-version"


def given_up(taken: Taken, *, consumer: str, park: Park) -> Sent:
    """What lies in a consumer's queue, on its way to the dead letters, without having been tried once more."""
    original = taken.message()
    attempt = original.headers.get(ATTEMPT)
    copy = dead_message(original, park, consumer=consumer, attempt=attempt if type(attempt) is int else 1)
    return Sent(copy.exchange, copy.routing_key, properties(copy))


def dead_message(original: Message, park: Park, *, consumer: str, attempt: int) -> Message:
    """A copy for the dead letters that says who gave it up, after how many tries, and why."""
    now = datetime.now(UTC)
    known = {EXCEPTION: park.exception, FRAME: park.frame}
    headers = {
        **own_headers(original, consumer=consumer, attempt=attempt, error=park.error),
        REASON: park.reason,
        **{name: value for name, value in known.items() if value is not None},
        FIRST_FAILED_AT: (park.first_at or now).astimezone(UTC).isoformat(),
        FAILED_AT: now.isoformat(),
        VERSION: version(),
    }
    return replace(original, exchange=DEAD, routing_key=consumer, headers=headers)
