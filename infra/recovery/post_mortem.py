"""What a dead message says of its end: in headers of ours, or of the broker, or, if somebody else sent it, nowhere."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from events import strict_json
from events.attributes import is_id, is_text
from events.envelope import MAX_BYTES, decode
from events.errors import NotJson, UndecodableEvent
from infra.database.letters import Letter
from infra.evidence import LONGEST_ERROR, one_line
from infra.outcomes import Incoming
from infra.rabbitmq.dead_letters import EXCEPTION, FAILED_AT, FIRST_FAILED_AT, FRAME, REASON, VERSION
from infra.rabbitmq.retries import CONSUMER, ERROR
from infra.rabbitmq.topology import DELIVERY_LIMIT
from infra.recovery.views import Reason
from infra.subscriptions import UNKNOWN, is_name
from infra.version import version

_REASONS = frozenset(get_args(Reason))
#: Characters of a class, a frame or a version that are kept.
_LONGEST_NAME = 200
#: By how much a worker's clock may be ahead of ours.
_AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead message as it can be read."""

    letter: Letter
    #: The letter whose replay it was.
    replayed: str | None
    #: It claims to be this event, but it cannot be read as one here.
    is_claim: bool


@dataclass(frozen=True, slots=True)
class _Body:
    """What can be read of the bytes."""

    event_id: str | None
    type: str | None
    subject: str | None
    #: Why they are no event; None if they are one.
    fault: UndecodableEvent | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """Who gave it up, why and when."""

    consumer: str
    reason: str
    error: str
    attempts: int
    at: datetime
    first_at: datetime | None = None


def read(incoming: Incoming) -> Dead:
    """Make a letter of a message of `dead-letters`; whatever its headers are, there is one."""
    body, headers = _body(incoming.body), incoming.headers
    death = _death(headers)
    end = _by_us(incoming, body) if death is None else _by_broker(incoming, body, death)
    letter = Letter(
        key=f"{end.consumer}/{body.event_id}" if body.fault is None else f"{end.consumer}#{digest(incoming.body)}",
        consumer=end.consumer,
        event_id=body.event_id,
        type=body.type,
        subject=body.subject,
        reason=end.reason,
        exception=_text(headers.get(EXCEPTION), _LONGEST_NAME) if death is None else None,
        error=end.error,
        frame=_text(headers.get(FRAME), _LONGEST_NAME) if death is None else None,
        attempts=end.attempts,
        first_failed_at=min(end.first_at or end.at, end.at),
        last_failed_at=end.at,
        version=_text(headers.get(VERSION), _LONGEST_NAME) or version(),
        body=incoming.body,
        is_replay=incoming.replay,
    )
    return Dead(
        letter,
        replayed=incoming.dead_letter if incoming.replay else None,
        is_claim=body.fault is not None and body.event_id is not None,
    )


def digest(body: bytes) -> str:
    """What tells bytes apart that are no event."""
    return hashlib.sha256(body).hexdigest()


def _by_us(incoming: Incoming, body: _Body) -> _End:
    headers, now = incoming.headers, datetime.now(UTC)
    consumer = _consumer(headers.get(CONSUMER))
    at, first_at = _moment(headers.get(FAILED_AT)) or now, _moment(headers.get(FIRST_FAILED_AT))
    reason, error = headers.get(REASON), _text(headers.get(ERROR), LONGEST_ERROR)
    if not isinstance(reason, str) or reason not in _REASONS:
        reason = body.fault.reason if body.fault else "invalid-data"
        error = _said(body) or "It came to the dead letters without a word of who gave it up, and why."
    return _End(consumer, reason, error or _said(body) or reason, incoming.attempt, at, first_at)


def _by_broker(incoming: Incoming, body: _Body, death: Mapping[str, Any]) -> _End:
    consumer, at = _consumer(death.get("queue")), _moment(death.get("time")) or datetime.now(UTC)
    if death.get("reason") == "delivery_limit":
        deliveries = DELIVERY_LIMIT + 1
        error = f"The broker gave it up after {deliveries} deliveries that ended without a word, as in a crash."
        return _End(consumer, "delivery-limit", error, incoming.attempt - 1 + deliveries, at)
    reason = body.fault.reason if body.fault else "handler-error"
    error = _said(body) or "It failed, and no copy of it could be published, so the broker moved it here."
    return _End(consumer, reason, error, incoming.attempt, at)


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the broker wrote when it moved the message; the newest entry is the first."""
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else None
    return first if isinstance(first, dict) else None


def _body(body: bytes) -> _Body:
    try:
        event = decode(body)
    except UndecodableEvent as fault:
        claimed = _claimed(body)
        own_id, kind, subject = (claimed.get(name) for name in ("id", "type", "subject"))
        return _Body(
            own_id if is_id(own_id) else None,
            kind if is_text(kind) else None,
            subject if is_text(subject) else None,
            fault,
        )
    return _Body(event.id, event.type, event.subject)


def _claimed(body: bytes) -> dict[str, Any]:
    try:
        said = strict_json.read(body) if len(body) <= MAX_BYTES else None
    except NotJson:
        return {}
    return said if isinstance(said, dict) else {}


def _said(body: _Body) -> str | None:
    return one_line(str(body.fault)) if body.fault else None


def _consumer(name: object) -> str:
    return name if isinstance(name, str) and is_name(name) else UNKNOWN


def _text(value: object, longest: int) -> str | None:
    return (one_line(value)[:longest] or None) if isinstance(value, str) else None


def _moment(value: object) -> datetime | None:
    """The time that a header gives, unless it is none, or one that a clock cannot have shown."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(moment, datetime):
            return None
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if datetime(2000, 1, 1, tzinfo=UTC) < moment < datetime.now(UTC) + _AHEAD else None
