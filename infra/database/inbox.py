"""The inbox: what became of each event at each consumer; its key is what makes a handler's work happen once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database import erasures
from infra.database.tables import Inbox, UtcDateTime, table

#: States in which nothing is left to do: its handler is through with all effects, or it did not want the event, or
#: nobody is to have it any more.
SETTLED = ("handled", "filtered", "erased")
_INBOX = table(Inbox)
_KEY = (_INBOX.c.event_id == bindparam("event"), _INBOX.c.consumer == bindparam("who"))
_LOOK = select(_INBOX.c.state, _INBOX.c.handled_at).where(*_KEY)
_OF_EVENT = select(_INBOX).where(_INBOX.c.event_id == bindparam("event"))
_OWE = update(_INBOX).where(*_KEY).values(state="committed")
_SETTLE = update(_INBOX).where(*_KEY, _INBOX.c.state.not_in(SETTLED)).values(state="handled", error=None, retry_at=None)
_REOPEN = update(_INBOX).where(*_KEY).values(state="retrying", attempts=0, retry_at=bindparam("now", type_=UtcDateTime))
_FORGET = delete(_INBOX).where(*_KEY)
_ERASE = update(_INBOX).where(*_KEY).values(state="erased")
_REOPEN_DEAD = _REOPEN.where(_INBOX.c.state == "dead")
_REOPEN_ALL = _REOPEN.values(handled_at=None)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to bring one event to one consumer."""

    event_id: str
    consumer: str
    #: 1 for the first; a replay begins at 1 again, and so does the row's `attempts`. Its `first_at` stays.
    attempt: int
    begun_at: datetime
    #: Of an ordered consumer: once dead it stays so but for a replay, as the next one of its subject may be at work.
    ordered: bool = False
    #: What the event is about.
    subject: str | None = None
    #: It is of the past: a backfill sends it.
    backfilled: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What the inbox knows of an event at a consumer."""

    state: str
    #: The handler's work is committed; only effects may be missing.
    is_through: bool

    @property
    def is_settled(self) -> bool:
        """Nothing is left to do."""
        return self.state in SETTLED


def look(session: Session, event_id: str, consumer: str) -> Entry | None:
    """What is known of the event at this consumer; None before its first try has ended."""
    row = session.connection().execute(_LOOK, {"event": event_id, "who": consumer}).one_or_none()
    return None if row is None else Entry(row.state, row.handled_at is not None)


def claim(session: Session, delivery: Delivery, *, owes_effects: bool = False) -> bool:
    """Write, in the handler's transaction, that its work is done.

    False when another delivery already did it, or what the event is about was erased meanwhile.
    """
    state = "committed" if owes_effects else "handled"
    values = {**_values(delivery), "state": state, "handled_at": datetime.now(UTC), "error": None}
    values["subject_key"] = erasures.key_of(delivery.subject)
    return bool(session.connection().execute(_claims(session, delivery), values).rowcount)


def filter_out(session: Session, delivery: Delivery) -> bool:
    """Settle an event that its consumer does not want; False when another delivery was through with it before."""
    return _settled_as("filtered", session, delivery)


def erase(session: Session, delivery: Delivery) -> bool:
    """Settle an event that nobody is to have any more; False when its handler was through with it before."""
    return _settled_as("erased", session, delivery)


def claim_all(session: Session, these: Sequence[tuple[Delivery, bool]]) -> list[bool]:
    """The same for several, each with whether it owes effects: those that are new in one statement."""
    new: dict[tuple[str, str], tuple[Delivery, str]] = {}
    if len(these) > 1:
        for delivery, owes_effects in these:
            new.setdefault(_key(delivery), (delivery, "committed" if owes_effects else "handled"))
    claimed = _add(session, list(new.values()))
    found = []
    for delivery, owes_effects in these:
        is_new = _key(delivery) in claimed
        claimed.discard(_key(delivery))
        found.append(is_new or claim(session, delivery, owes_effects=owes_effects))
    return found


def claim_new(session: Session, deliveries: Sequence[Delivery], unwanted: Sequence[Delivery] = ()) -> set[str]:
    """Claim first deliveries of one consumer, all in one statement, and settle those that it does not want.

    Gives the ids of those that nobody had, and that are not about what was erased.
    """
    rows = [(each, "handled") for each in deliveries] + [(each, "filtered") for each in unwanted]
    return {event_id for event_id, _ in _add(session, rows)}


def owe_effects(session: Session, event_id: str, consumer: str) -> None:
    """Write, in the same transaction, that effects are to follow."""
    session.connection().execute(_OWE, {"event": event_id, "who": consumer})


def settle(session: Session, event_id: str, consumer: str) -> None:
    """Write that the last effect is done too."""
    session.connection().execute(_SETTLE, {"event": event_id, "who": consumer})


def fail(session: Session, delivery: Delivery, error: str, retry_at: datetime | None) -> datetime:
    """Write that a try failed, why, and when its copy returns (None: it is dead); a handler that is through stays so.

    Gives when the event's very first try began.
    """
    state = "dead" if retry_at is None else "retrying"
    ended = {"error": error, "failed_at": datetime.now(UTC), "retry_at": retry_at}
    values = {**_values(delivery), "state": state, "handled_at": None, **ended}
    first_at: datetime | None = session.connection().execute(_failures(session, delivery), values).scalar_one_or_none()
    return first_at or delivery.begun_at


def reopen(session: Session, keys: Sequence[tuple[str, str]], *, force: bool) -> None:
    """Let these (event id and consumer) come again, from their first try on; the very first try's time stays.

    What a handler has committed it does not do again, only the effects that are missing; with force all of it.
    """
    rows = [{"event": event_id, "who": consumer, "now": datetime.now(UTC)} for event_id, consumer in keys]
    if rows:
        session.connection().execute(_REOPEN_ALL if force else _REOPEN_DEAD, rows)


def forget(session: Session, keys: Sequence[tuple[str, str]]) -> None:
    """Let these (event id and consumer) be as if they had never come."""
    rows = [{"event": event_id, "who": consumer} for event_id, consumer in keys]
    if rows:
        session.connection().execute(_FORGET, rows)


def of_event(session: Session, event_id: str) -> list[Inbox]:
    """All consumers' entries of one event."""
    rows = session.connection().execute(_OF_EVENT, {"event": event_id})
    return [Inbox(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def _add(session: Session, these: Sequence[tuple[Delivery, str]]) -> set[tuple[str, str]]:
    """Write these with their states; gives the keys of those that nobody had, and that are not about what was erased.

    No two of them have the same key.
    """
    if not these:
        return set()
    ended = {"handled_at": datetime.now(UTC), "error": None}
    # In order: two processes that have the same ones wait, but not each for the other.
    in_order = sorted(these, key=lambda one: _key(one[0]))
    rows = [{**_values(each), "state": state, **ended} for each, state in in_order]
    connection = session.connection()
    added = {(row.event_id, row.consumer) for row in connection.execute(_STATEMENTS[connection.dialect.name][2], rows)}
    # After the claim: whoever erases waits for those that have claimed something by then.
    wanted = [each for each, state in these if state != "filtered"]
    erased = erasures.of(session, [(each.event_id, each.subject) for each in wanted])
    dropped = {_key(each) for each in wanted if (each.event_id, each.subject) in erased} & added
    if dropped:
        connection.execute(_ERASE, [{"event": event_id, "who": consumer} for event_id, consumer in dropped])
    return added - dropped


def _key(delivery: Delivery) -> tuple[str, str]:
    return delivery.event_id, delivery.consumer


def _settled_as(state: str, session: Session, delivery: Delivery) -> bool:
    values = {**_values(delivery), "state": state, "handled_at": datetime.now(UTC), "error": None, "subject_key": ""}
    return bool(session.connection().execute(_claims(session, delivery), values).rowcount)


def _values(delivery: Delivery) -> dict[str, Any]:
    return {
        "event_id": delivery.event_id,
        "consumer": delivery.consumer,
        "attempts": delivery.attempt,
        "first_at": delivery.begun_at,
    }


def _claim(insert: Any, *conditions: Any) -> Any:
    names = ("event_id", "consumer", "state", "attempts", "first_at", "handled_at", "error")
    row = select(*(bindparam(name, type_=_INBOX.c[name].type) for name in names)).where(~erasures.IS_ERASED)
    new = insert(_INBOX).from_select(names, row)
    return new.on_conflict_do_update(
        index_elements=["event_id", "consumer"],
        set_={name: new.excluded[name] for name in ("state", "attempts", "handled_at", "error")} | {"retry_at": None},
        where=and_(_INBOX.c.handled_at.is_(None), *conditions),
    ).execution_options(preserve_rowcount=True)


def _failure(insert: Any, *conditions: Any) -> Any:
    new = insert(_INBOX)
    return new.on_conflict_do_update(
        index_elements=["event_id", "consumer"],
        set_={name: new.excluded[name] for name in ("state", "attempts", "error", "failed_at", "retry_at")},
        where=and_(_INBOX.c.state.not_in(SETTLED), *conditions),
    ).returning(_INBOX.c.first_at)


def _new(insert: Any) -> Any:
    return insert(_INBOX).on_conflict_do_nothing().returning(_INBOX.c.event_id, _INBOX.c.consumer)


_STATEMENTS = {
    name: (
        _claim(insert),
        _failure(insert),
        _new(insert),
        _claim(insert, _INBOX.c.state != "dead"),
        _failure(insert, _INBOX.c.state != "dead"),
    )
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def _claims(session: Session, delivery: Delivery) -> Any:
    return _STATEMENTS[session.connection().dialect.name][3 if delivery.ordered else 0]


def _failures(session: Session, delivery: Delivery) -> Any:
    return _STATEMENTS[session.connection().dialect.name][4 if delivery.ordered else 1]
