"""The dead letters: what was given up, one row for each event and consumer, and the views of it that operators need."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, bindparam, case, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session
from uuid_utils.compat import uuid7

from infra.database.inbox import SETTLED
from infra.database.letters import (
    ALREADY_HANDLED,
    CLOSED,
    HAS_CONSUMER,
    IS_OF_EVENT,
    IS_RECORDED,
    Filter,
    Group,
    Letter,
    Preview,
)
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import Effect, Inbox, table

__all__ = [
    "Filter",
    "Group",
    "Letter",
    "Preview",
    "close_already_handled",
    "close_handled",
    "find",
    "groups",
    "keep",
    "keys_of",
    "page",
    "preview",
    "tell_inbox",
]

_LETTER, _EFFECT, _INBOX = table(DeadLetter), table(Effect), table(Inbox)
_THESE = _LETTER.c.id.in_(bindparam("letters", expanding=True))
_WITHOUT_BODY = [column for column in _LETTER.c if column.name != "body"]
_FIND = select(_LETTER).where(_LETTER.c.id == bindparam("letter"))
_CLOSE = (
    update(_LETTER)
    .where(_LETTER.c.id == bindparam("letter"), _LETTER.c.consumer == bindparam("who"), _LETTER.c.state.not_in(CLOSED))
    .values(state="handled", closed_at=bindparam("now"), closed_with=bindparam("why"))
)
_CLOSE_HANDLED = (
    update(_LETTER)
    .where(_THESE, _LETTER.c.state.in_(("waiting", "queued")), ALREADY_HANDLED)
    .values(state="handled", closed_at=bindparam("now"), closed_with="handled by another delivery")
)
_KEYS = select(_LETTER.c.id, _LETTER.c.consumer, _LETTER.c.key).where(_THESE)


def keep(session: Session, letter: Letter) -> str:
    """Write a letter down, or again: one of the same event and consumer is updated. Gives its id.

    What is closed stays so unless this failure is newer than that; what is being replayed waits again.
    """
    values = {name: value for name, value in asdict(letter).items() if name != "is_replay"}
    new = {"id": str(uuid7()), "fingerprint": letter.fingerprint, "state": "waiting", "replays": 0}
    statement = _KEEP[session.connection().dialect.name]
    return str(session.connection().execute(statement, {**values, **new, "ended": letter.is_replay}).scalar_one())


def keys_of(session: Session, letter_ids: list[str]) -> dict[tuple[str, str], str]:
    """The keys of letters, by id and consumer."""
    rows = session.connection().execute(_KEYS, {"letters": letter_ids})
    return {(row.id, row.consumer): row.key for row in rows}


def close_already_handled(session: Session, letter_ids: Sequence[str]) -> None:
    """Close those of the waiting and queued ones whose consumer is through with the event by another way."""
    session.connection().execute(_CLOSE_HANDLED, {"letters": list(letter_ids), "now": datetime.now(UTC)})


def tell_inbox(session: Session, letter_ids: Sequence[str]) -> None:
    """Write down as dead what no delivery has, for it crashed, or could not read the event, or could not write."""
    connection = session.connection()
    connection.execute(_TELL_INBOX[connection.dialect.name], {"letters": list(letter_ids)})


def page(session: Session, wanted: Filter, *, before: str | None = None, limit: int = 50) -> list[DeadLetter]:
    """The newest ones first, from before this id; their bodies are left out."""
    older = [] if before is None else [_LETTER.c.id < before]
    statement = select(*_WITHOUT_BODY).where(*wanted.conditions(), *older).order_by(_LETTER.c.id.desc()).limit(limit)
    return [DeadLetter(**row._mapping, body=b"") for row in session.connection().execute(statement)]  # noqa: SLF001  # public


def groups(session: Session, wanted: Filter, *, before: str | None = None, limit: int = 50) -> list[Group]:
    """Letters by their cause, the one that failed last first; `before` is the last group's cursor.

    Raises:
        ValueError: `before` is no cursor of a group.
    """
    cause, last = _LETTER.c.fingerprint, func.max(_LETTER.c.last_failed_at)
    grouped = select(
        cause,
        func.count().label("count"),
        func.min(_LETTER.c.first_failed_at).label("first_at"),
        last.label("last_at"),
        func.max(_LETTER.c.id).label("sample"),
    ).where(*wanted.conditions())
    if before is not None:
        at, _, fingerprint = before.partition("/")
        moment = datetime.fromisoformat(at)
        grouped = grouped.having(or_(last < moment, (last == moment) & (cause < fingerprint)))
    found = grouped.group_by(cause).order_by(last.desc(), cause.desc()).limit(limit).subquery()
    statement = (
        select(found, _LETTER.c.consumer, _LETTER.c.exception, _LETTER.c.frame, _LETTER.c.reason)
        .join(_LETTER, _LETTER.c.id == found.c.sample)
        .order_by(found.c.last_at.desc(), found.c.fingerprint.desc())
    )
    return [Group(**row._mapping) for row in session.connection().execute(statement)]  # noqa: SLF001  # public


def find(session: Session, letter_id: str) -> DeadLetter | None:
    """One letter, with its body."""
    row = session.connection().execute(_FIND, {"letter": letter_id}).one_or_none()
    return None if row is None else DeadLetter(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def preview(session: Session, wanted: Filter) -> Preview:
    """Count what a replay of these would do; those whose consumer is gone are in the total only."""
    waiting = [*wanted.conditions(), _LETTER.c.state == "waiting"]
    handled = case((ALREADY_HANDLED, 1), else_=0)
    recorded = case((HAS_CONSUMER, 1), else_=0)
    each = select(_LETTER.c.consumer, handled.label("handled"), recorded.label("recorded")).where(*waiting).subquery()
    runs = case(((each.c.handled == 0) & (each.c.recorded == 1), 1), else_=0)
    counts = select(each.c.consumer, func.count(), func.sum(each.c.handled), func.sum(runs)).group_by(each.c.consumer)
    rows = session.connection().execute(counts.order_by(each.c.consumer)).all()
    again = (
        select(func.count())
        .select_from(_LETTER)
        .join(_EFFECT, (_EFFECT.c.event_id == _LETTER.c.event_id) & (_EFFECT.c.consumer == _LETTER.c.consumer))
        .where(*waiting, _EFFECT.c.state.in_(("sent", "unknown")))
    )
    return Preview(
        total=sum(row[1] for row in rows),
        would_run=sum(row[3] for row in rows),
        already_handled=sum(row[2] for row in rows),
        effects=session.connection().execute(again).scalar_one(),
        by_consumer={row[0]: row[3] for row in rows if row[3]},
    )


def close_handled(session: Session, dead_letter_id: str, *, consumer: str) -> None:
    """A replay of this consumer's letter has ended well, so it is closed; one that is closed already stays so."""
    values = {"letter": dead_letter_id, "who": consumer, "now": datetime.now(UTC), "why": "its replay was handled"}
    session.connection().execute(_CLOSE, values)


def _keeping(insert: Any) -> Any:
    row, new = _LETTER.c, insert(_LETTER)
    now = new.excluded
    # A late copy of an earlier failure must not look like the end of the replay that is under way; one with the same
    # time is the very message that was kept already.
    ended = bindparam("ended", type_=Boolean) & (now.last_failed_at != row.last_failed_at)
    reopened = or_(
        row.state.in_(CLOSED) & (now.last_failed_at > row.closed_at),
        (row.state == "replaying") & (ended | (now.last_failed_at > row.replayed_at)),
    )
    total = case((reopened, row.attempts + now.attempts), (now.attempts > row.attempts, now.attempts))
    newest = ("reason", "exception", "error", "frame", "fingerprint", "version")
    return new.on_conflict_do_update(
        index_elements=["key"],
        set_={
            **{name: now[name] for name in newest},
            "attempts": func.coalesce(total, row.attempts),
            "first_failed_at": case(
                (now.first_failed_at < row.first_failed_at, now.first_failed_at), else_=row.first_failed_at
            ),
            "last_failed_at": case(
                (now.last_failed_at > row.last_failed_at, now.last_failed_at), else_=row.last_failed_at
            ),
            "state": case((reopened, "waiting"), else_=row.state),
            "closed_at": case((reopened, None), else_=row.closed_at),
            "closed_with": case((reopened, None), else_=row.closed_with),
        },
    ).returning(row.id)


def _telling(insert: Any) -> Any:
    """Of letters that wait: one under replay has an inbox row that was opened for it."""
    names = ("event_id", "consumer", "state", "attempts", "first_at", "error")
    of_letters = select(
        _LETTER.c.event_id, _LETTER.c.consumer, literal("dead"), _LETTER.c.attempts, _LETTER.c.first_failed_at,
        _LETTER.c.error,
    ).where(_THESE, _LETTER.c.state.in_(("waiting", "queued")), IS_OF_EVENT, IS_RECORDED)  # fmt: skip
    new = insert(_INBOX).from_select(names, of_letters)
    return new.on_conflict_do_update(
        index_elements=["event_id", "consumer"],
        set_={name: new.excluded[name] for name in ("state", "attempts", "error")} | {"retry_at": None},
        where=_INBOX.c.state.not_in((*SETTLED, "dead")),
    )


_TELL_INBOX = {"sqlite": _telling(sqlite.insert), "postgresql": _telling(postgresql.insert)}
_KEEP = {"sqlite": _keeping(sqlite.insert), "postgresql": _keeping(postgresql.insert)}
