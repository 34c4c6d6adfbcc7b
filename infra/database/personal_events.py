"""The places of events that are about a person or name them, and of what was done with these events.

An event about something else that merely names the person goes to whoever is still to have it: it is left to the later
pass until it has come to rest, and so is what is under way of it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, false, func, or_, select

from events.attributes import lowest_id
from infra.database.consumer_tables import Waiting
from infra.database.inbox import SETTLED
from infra.database.letters import CLOSED
from infra.database.outbox import AT_ONCE
from infra.database.personal import ERASED, Change, Person, Place, becomes, before, goes, named
from infra.database.recovery_tables import DeadLetter, Resend, Unsettled
from infra.database.tables import Effect, EventLog, Inbox, Outbox, Subscription, table

_LOG, _OUTBOX = table(EventLog), table(Outbox)
_INBOX, _EFFECT, _LETTER, _RESEND = table(Inbox), table(Effect), table(DeadLetter), table(Resend)
_WAITING = table(Waiting)
#: For looks from within a statement about one of the tables themselves.
_ITS_LOG, _ITS_INBOX, _ITS_EFFECT, _ITS_LETTER = (each.alias() for each in (_LOG, _INBOX, _EFFECT, _LETTER))
_CONSUMER, _ITS_WAITING = table(Subscription).alias(), _WAITING.alias()
_ITS_RESEND, _UNSETTLED = _RESEND.alias(), table(Unsettled).alias()


def _older(person: Person, event_id: Any) -> ColumnElement[bool]:
    """Whether an event, or a letter, was made when the address was theirs: ids begin with their time."""
    return false() if person.until is None else event_id < lowest_id(person.until)


def _spares(person: Person, event_id: Any) -> ColumnElement[bool]:
    return func.coalesce(event_id, "").not_in(person.spared)


def of_events(which: ColumnElement[bool], now: datetime, *, is_mine: bool) -> list[Change]:
    """What becomes of events of the log, and of what hangs on them; what is about others keeps its subject."""
    ids = select(_LOG.c.event_id).where(which)
    settled = _INBOX.c.state.in_(SETTLED)
    ends: dict[str, Any] = {
        "state": case((settled, _INBOX.c.state), else_=ERASED),
        "handled_at": func.coalesce(_INBOX.c.handled_at, now),
        "retry_at": None,
    }
    touched = _INBOX.c.error.is_not(None) if not is_mine else or_(~settled, _INBOX.c.error.is_not(None))
    return [
        Change(_INBOX, _INBOX.c.event_id.in_(ids) & touched, {"error": None, **(ends if is_mine else {})}),
        Change(_EFFECT, _EFFECT.c.event_id.in_(ids), _effect()),
        Change(_LETTER, _LETTER.c.event_id.in_(ids) & (_LETTER.c.state != ERASED), _letter(now)),
        Change(_RESEND, _RESEND.c.event_id.in_(ids)),
        *([] if is_mine else [Change(_WAITING, _WAITING.c.event_id.in_(ids))]),
        Change(_LOG, which, {"body": "", "erased_at": now, **({"subject": None} if is_mine else {})}),
    ]


def _is_under_way(_: Person) -> ColumnElement[bool]:
    """Whether somebody is still to have an event of the log, or something of it is still to be done."""
    event, position = _LOG.c.event_id, _LOG.c.position
    by_event = (
        (_ITS_INBOX, _ITS_INBOX.c.state.in_(("retrying", "committed"))),
        (_ITS_EFFECT, _ITS_EFFECT.c.state.not_in(("sent", ERASED))),
        (_ITS_LETTER, _ITS_LETTER.c.state.not_in(CLOSED)),
    )
    by_consumer = (  # by way of the consumers, which indices lead from
        (_UNSETTLED, _UNSETTLED.c.position == position),
        (_ITS_WAITING, _ITS_WAITING.c.position == position),
        (_ITS_RESEND, _ITS_RESEND.c.event_id == event),
    )
    return or_(
        *(exists().where(each.c.event_id == event, is_open) for each, is_open in by_event),
        exists().where(_CONSUMER.c.scanned < position, _CONSUMER.c.retiring_since.is_(None)),
        *(exists().where(each.c.consumer == _CONSUMER.c.consumer, is_it) for each, is_it in by_consumer),
    )


def _is_of_others(person: Person, event_id: Any) -> ColumnElement[bool]:
    """Whether an event is in the log as one about something else."""
    others = func.coalesce(_ITS_LOG.c.subject, "") != person.id
    return exists().where(_ITS_LOG.c.event_id == event_id, _ITS_LOG.c.erased_at.is_(None), others)


def _effect() -> dict[str, Any]:
    undone = _EFFECT.c.state == "intended"
    return {"arguments": {}, "error": None, "state": case((undone, ERASED), else_=_EFFECT.c.state)}


def _letter(now: datetime) -> dict[str, Any]:
    closed = _LETTER.c.state.in_(CLOSED)
    return {
        "state": case((closed, _LETTER.c.state), else_=ERASED),
        "body": b"",
        "subject": None,
        "error": ERASED,
        "closed_at": func.coalesce(_LETTER.c.closed_at, now),
        "closed_with": ERASED,
    }


def _log(person: Person) -> ColumnElement[bool]:
    return and_(_LOG.c.subject == person.id, _spares(person, _LOG.c.event_id))


def _mentions(person: Person) -> ColumnElement[bool]:
    then = _older(person, _LOG.c.event_id)
    others = func.coalesce(_LOG.c.subject, "") != person.id
    return and_(named(person, _LOG.c.body, then=then), others, _spares(person, _LOG.c.event_id))


def _outbox(person: Person) -> ColumnElement[bool]:
    """What is about something else, and goes at once, is in the log in a moment, and others wait for it."""
    then = before(person, _OUTBOX.c.added_at)
    mentioned = and_(named(person, _OUTBOX.c.body, then=then), _OUTBOX.c.available_at > AT_ONCE)
    return and_(or_(_OUTBOX.c.subject == person.id, mentioned), _spares(person, _OUTBOX.c.event_id))


def _letters(person: Person) -> ColumnElement[bool]:
    then = before(person, _LETTER.c.first_failed_at)
    mentioned = named(person, _LETTER.c.body, _LETTER.c.error, then=then)
    return and_(or_(_LETTER.c.subject == person.id, mentioned), _spares(person, _LETTER.c.event_id))


def _resends(person: Person) -> ColumnElement[bool]:
    return and_(
        named(person, _RESEND.c.body, then=before(person, _RESEND.c.added_at)), _spares(person, _RESEND.c.event_id)
    )


def _effects(person: Person) -> ColumnElement[bool]:
    texts = (_EFFECT.c.arguments, _EFFECT.c.error)
    return and_(named(person, *texts, then=_older(person, _EFFECT.c.event_id)), _spares(person, _EFFECT.c.event_id))


def _entries(person: Person) -> ColumnElement[bool]:
    return and_(_INBOX.c.error.is_not(None), named(person, _INBOX.c.error), _spares(person, _INBOX.c.event_id))


_EVENTS = Place(
    _LOG,
    [_LOG.c.position],
    _log,
    lambda which, now: of_events(which, now, is_mine=True),
    is_direct=True,
    told=("position", "published_at", "body"),
)
_MENTIONS = Place(
    _LOG,
    [_LOG.c.position],
    _mentions,
    lambda which, now: of_events(which, now, is_mine=False),
    later=_is_under_way,
    told=("position", "published_at", "body"),
)
_OUTGOING = Place(
    _OUTBOX, [_OUTBOX.c.sequence], _outbox, goes(_OUTBOX), told=("sequence", "added_at", "available_at", "body")
)
_RESENT = Place(
    _RESEND,
    [_RESEND.c.sequence],
    _resends,
    goes(_RESEND),
    later=lambda person: _is_of_others(person, _RESEND.c.event_id),
    told=("consumer", "added_at", "body"),
)
_GIVEN_UP = Place(
    _LETTER,
    [_LETTER.c.id],
    _letters,
    lambda which, now: [Change(_LETTER, and_(which, _LETTER.c.body != b""), _letter(now))],
    later=lambda person: and_(_LETTER.c.state.not_in(CLOSED), _is_of_others(person, _LETTER.c.event_id)),
    told=("id", "consumer", "reason", "error", "attempts", "first_failed_at", "last_failed_at", "state", "body"),
)
_DONE = Place(
    _EFFECT,
    [_EFFECT.c.event_id, _EFFECT.c.consumer, _EFFECT.c.ordinal],
    _effects,
    lambda which, _: [Change(_EFFECT, which, _effect())],
    later=lambda person: and_(_EFFECT.c.state.not_in(("sent", ERASED)), _is_of_others(person, _EFFECT.c.event_id)),
    told=("event_id", "consumer", "kind", "arguments", "state", "sent_at"),
)
_ENTRIES = Place(
    _INBOX,
    [_INBOX.c.event_id, _INBOX.c.consumer],
    _entries,
    becomes(_INBOX, error=None),
    told=("event_id", "consumer", "state", "attempts", "first_at", "handled_at", "error"),
)

#: What an event left is found by the event, and by itself where it alone names the person.
EVENTS: Sequence[Place] = (_EVENTS, _MENTIONS, _OUTGOING, _RESENT, _GIVEN_UP, _DONE, _ENTRIES)
