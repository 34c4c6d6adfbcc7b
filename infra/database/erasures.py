"""Erasures: subjects that nothing is to be kept of any more, and whether a subject is one of them."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Select, Text, bindparam, cast, exists, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.engine import Database
from infra.database.erasure_tables import Erasure
from infra.database.job_tables import OPEN, Job
from infra.database.tables import UtcDateTime, table

#: Seconds for which a process goes by what it knew of erasures: so long after one began, at most, a handler may still
#: be called with an event of that subject. It cannot commit: the claim looks itself.
KNOWN_FOR = 2.0
#: Id of an event, and its subject.
About = tuple[str | None, str | None]
_ERASURE, _JOB = table(Erasure), table(Job)
_THIS = _ERASURE.c.key == bindparam("subject_key")
#: Parameters `subject_key` and `event_id`: the subject is erased, and this is not the event that says so.
IS_ERASED = exists().where(_THIS, func.coalesce(_ERASURE.c.announced, "") != bindparam("event_id"))
_KEYS = select(_ERASURE.c.key, _ERASURE.c.announced)
#: Those that are over have nothing on its way: the claim alone looks for them, so a process need not know them all.
_OPEN = _KEYS.where(_ERASURE.c.subject.is_not(None))
_THESE = _KEYS.where(_ERASURE.c.key.in_(bindparam("keys", expanding=True)))
_FIND = select(_ERASURE).where(_THIS)
#: Parameter `kind`, of the jobs that erase: an open one has the subject. People may write ids in several ways.
_ASKED_FOR = func.lower(func.replace(cast(_JOB.c.parameters, Text), "-", ""))
_IS_ASKED_FOR = exists().where(
    _JOB.c.kind == bindparam("kind"), text(OPEN), _ASKED_FOR.contains(func.replace(_ERASURE.c.subject, "-", ""))
)
_DUE = (
    select(_ERASURE)
    .where(_ERASURE.c.again_at <= bindparam("now", type_=UtcDateTime), _ERASURE.c.subject.is_not(None), ~_IS_ASKED_FOR)
    .order_by(_ERASURE.c.again_at)
)
#: Numbers of PostgreSQL's transactions: one that is given out for this alone, and the oldest one's that goes on. The
#: bounds of a snapshot would not do: those that go on may lie beyond them.
_NEWEST = text("SELECT pg_current_xact_id()::text::bigint")
_OLDEST = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_ANNOUNCE = (
    update(_ERASURE)
    .where(_THIS)
    .values(announced=bindparam("event"), again_at=bindparam("again", type_=UtcDateTime), address=bindparam("told"))
)
#: Not one that was begun, or has even ended, anew meanwhile: that one is to be looked for later.
_END = (
    update(_ERASURE)
    .where(_THIS, _ERASURE.c.again_at == bindparam("was_due", type_=UtcDateTime), ~_IS_ASKED_FOR)
    .values(subject=None, address=None, again_at=None)
)


def key_of(subject: str | None) -> str:
    """What a subject is called here; there is none for no subject."""
    return "" if subject is None else sha256(f"erased {subject}".encode()).hexdigest()


def begin(session: Session, subject: str, begun_at: datetime, address: str | None = None) -> None:
    """From the commit on nothing of this subject is handled; whoever goes on where it did not end finds the address.

    One that waits to be looked for again goes on waiting: this one may never end.
    """
    row = {"key": key_of(subject), "subject": subject, "address": address, "begun_at": begun_at, "again_at": None}
    connection = session.connection()
    connection.execute(_BEGIN[connection.dialect.name], row)


def find(session: Session, subject: str) -> Erasure | None:
    """The one of a subject."""
    row = session.connection().execute(_FIND, {"subject_key": key_of(subject)}).one_or_none()
    return None if row is None else _erasure(row)


def announced(subject: str) -> Select[Any]:
    """To be looked up by the statement that spares it: the event that tells others of it, if there is one by then."""
    told = _ERASURE.c.announced
    return select(told).where(_ERASURE.c.key == key_of(subject), told.is_not(None))


def announce(session: Session, subject: str, event_id: str, again_at: datetime, address: str | None = None) -> None:
    """Let this one event of the subject through, which tells others; it is to be looked for again, by this address."""
    session.connection().execute(
        _ANNOUNCE, {"subject_key": key_of(subject), "event": event_id, "again": again_at, "told": address}
    )


def due(session: Session, now: datetime, *, kind: str) -> list[Erasure]:
    """Those that are to be looked for once more, the longest due first; not while a job of this kind has them anew."""
    return [_erasure(row) for row in session.connection().execute(_DUE, {"now": now, "kind": kind})]


def end(session: Session, one: Erasure, *, kind: str) -> None:
    """Forget what the subject is called: it was looked for the last time, unless it was begun anew meanwhile."""
    session.connection().execute(_END, {"subject_key": one.key, "was_due": one.again_at, "kind": kind})


def of(session: Session, events: Iterable[About]) -> set[About]:
    """Which of these events, each with its subject, are about a subject that is erased."""
    keys = {one: key_of(one[1]) for one in events if one[1] is not None}
    if not keys:
        return set()
    found = _announced(session.connection().execute(_THESE, {"keys": sorted(set(keys.values()))}))
    return {one for one, key in keys.items() if key in found and found[key] != one[0]}


def begun(session: Session) -> int | None:
    """What is at work now, to be waited for: see `is_over`. None where nothing can be, for there is one writer."""
    if session.connection().dialect.name == "sqlite":
        return None
    return int(session.connection().execute(_NEWEST).scalar_one())


def is_over(session: Session, begun: int | None) -> bool:
    """Whether all transactions that had written something when `begun` was asked have ended."""
    return begun is None or int(session.connection().execute(_OLDEST).scalar_one()) > begun


class Known:
    """What a process knows of erasures, looked up every other second at most: asking costs nothing."""

    def __init__(self, database: Database, *, known_for: float = KNOWN_FOR) -> None:
        self._database = database
        self._known_for = known_for
        self._found: Mapping[str, str | None] = {}
        self._until = 0.0

    def has(self, subject: str | None, event_id: str) -> bool:
        """Whether this event is about a subject that was erased.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        if subject is None:
            return False
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + self._known_for  # whoever asks meanwhile goes by what was known before
            with self._database.reading() as session:
                self._found = _announced(session.connection().execute(_OPEN))
        is_suspect = bool(self._found) and self._found.get(key_of(subject), event_id) != event_id
        return is_suspect and self.confirms(subject, event_id)

    def confirms(self, subject: str | None, event_id: str) -> bool:
        """The same from the database: what is known may be older than the event that tells others.

        Raises:
            DatabaseUnavailable: it is away.
        """
        with self._database.reading() as session:
            return bool(of(session, [(event_id, subject)]))


def _erasure(row: Any) -> Erasure:
    return Erasure(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def _announced(rows: Iterable[Any]) -> dict[str, str | None]:
    return {row.key: row.announced for row in rows}


def _beginning(insert: Any) -> Any:
    new = insert(_ERASURE)
    return new.on_conflict_do_update(
        index_elements=["key"],
        set_={name: new.excluded[name] for name in ("subject", "address", "begun_at")},
    )


_BEGIN = {name: _beginning(dialect.insert) for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))}
