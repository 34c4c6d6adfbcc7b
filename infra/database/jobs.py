"""Jobs as they are asked for, looked at and called off; what becomes of one at work is written elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row, Text, and_, bindparam, case, cast, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.job_tables import OPEN, Job, JobFile
from infra.database.session import add_rows, known
from infra.database.tables import Subscription, UtcDateTime, table
from infra.errors import NotNow

_JOB, _FILE, _SUBSCRIPTION = table(Job), table(JobFile), table(Subscription)
_THIS = _JOB.c.id == bindparam("job")
_INSERT = insert(_JOB)
#: One with the same id, or an open one of the same kind and unique key, is left as it is.
_ADD = {
    name: dialect.insert(_JOB).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_SHOWN = (
    "id", "kind", "state", "parameters", "event_id", "requested_by", "progress", "progress_text", "attempts", "error",
    "created_at", "started_at", "updated_at", "finished_at", "retry_at", "cancelled_at", "owner", "checkpoint_at",
)  # fmt: skip
_COLUMNS = [_JOB.c[name] for name in _SHOWN]
_FILES = [_FILE.c[name].label(f"file_{name}") for name in ("name", "media_type", "key", "size", "expires_at")]
_FIND = (
    select(*_COLUMNS, *_FILES)
    .join_from(_JOB, _FILE, _FILE.c.job_id == _JOB.c.id, isouter=True)
    .where(_THIS)
    .order_by(_FILE.c.ordinal)
)
_FILES_OF = (
    select(_FILE.c.job_id, *_FILES)
    .where(_FILE.c.job_id.in_(bindparam("jobs", expanding=True)))
    .order_by(_FILE.c.job_id, _FILE.c.ordinal)
)
_SAME = select(_JOB.c.id, _JOB.c.cancelled_at.is_not(None)).where(
    _JOB.c.kind == bindparam("of_kind"), _JOB.c.unique_key == bindparam("same"), text(OPEN)
)
_EXISTS = select(_JOB.c.id).where(_THIS)
_LOCK = _EXISTS.with_for_update(skip_locked=True)
_NOW: Any = bindparam("now", type_=UtcDateTime)
#: One whose lease is over is nobody's: its worker has died, and the next one may be long in coming.
_RUNS = and_(_JOB.c.state == "running", _JOB.c.busy_until.is_not(None), _JOB.c.busy_until > _NOW)
_CANCEL = (
    update(_JOB)
    .where(_THIS, text(OPEN), or_(~_RUNS, _JOB.c.cancelled_at.is_(None)))
    .values(
        cancelled_at=_NOW,
        updated_at=_NOW,
        # One that runs is at its worker's mercy until that one looks; of any other this is the end.
        state=case((_RUNS, _JOB.c.state), else_="cancelled"),
        finished_at=case((_RUNS, _JOB.c.finished_at), else_=_NOW),
        error=bindparam("why"),
        retry_at=None,
    )
)
_OFFER = select(
    _SUBSCRIPTION.c.consumer, cast(_SUBSCRIPTION.c.options, Text).label("options"), _SUBSCRIPTION.c.retiring_since
).where(_SUBSCRIPTION.c.consumer == bindparam("of_kind"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is known of a job when it is asked for."""

    id: str
    kind: str
    parameters: dict[str, Any]
    unique_key: str | None
    event_id: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class Open:
    """The one job of a unique kind that is open with the same parameters."""

    id: str
    #: Whether it is on its way to its end without having done what was asked for.
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """A job, and the files of its result."""

    #: The columns of `job` but for its checkpoint, which may be large, and those that nobody outside asks for; of a new
    #: one the values that they have.
    job: Any
    #: `file_name`, `file_media_type`, `file_key`, `file_size` and `file_expires_at`, in the order of their making.
    files: Sequence[Row[Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which jobs; None asks for any."""

    kind: str | None = None
    state: str | None = None
    requested_by: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def add(session: Session, new: NewJob) -> bool:
    """Write a new one down; False when there is one with this id, or an open one of its kind that is to be alone."""
    connection = session.connection()
    return bool(connection.execute(_ADD[connection.dialect.name], _row(new)).rowcount)


def add_another(session: Session, new: NewJob) -> Stored:
    """Write one down with which nothing can collide: its id was made for it, and it need not be alone.

    Gives it as it is to be found.
    """
    row = _row(new)
    add_rows(session, _INSERT, [row])
    return Stored(SimpleNamespace(**(dict.fromkeys(_SHOWN) | row)))


def find(session: Session, job_id: str) -> Stored | None:
    """One of them, with its files, in one statement."""
    rows = session.connection().execute(_FIND, {"job": job_id}).all()
    if not rows:
        return None
    return Stored(rows[0], rows if rows[0].file_name is not None else ())


def exists(session: Session, job_id: str) -> bool:
    """Whether there is one with this id."""
    return session.connection().execute(_EXISTS, {"job": job_id}).first() is not None


def open_one(session: Session, kind: str, unique_key: str) -> Open | None:
    """The open job with this key."""
    row = session.connection().execute(_SAME, {"of_kind": kind, "same": unique_key}).one_or_none()
    return None if row is None else Open(*row)


def page(session: Session, wanted: Filter, *, before: str | None = None, limit: int = 50) -> list[Stored]:
    """The newest first, from before the one with this id on."""
    equal = {"kind": wanted.kind, "state": wanted.state, "requested_by": wanted.requested_by}
    query = select(*_COLUMNS).where(*(_JOB.c[name] == value for name, value in equal.items() if value is not None))
    if wanted.since is not None:
        query = query.where(_JOB.c.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_JOB.c.created_at < wanted.until)
    if before is not None:
        query = query.where(_JOB.c.id < before)
    rows = session.connection().execute(query.order_by(_JOB.c.id.desc()).limit(limit)).all()
    files = _files(session, [row.id for row in rows])
    return [Stored(row, files.get(row.id, ())) for row in rows]


def cancel(session: Session, job_id: str, why: str) -> bool:
    """Call one off: at once if nobody works on it, else its worker is to see it; False when there is nothing to do.

    Raises:
        NotNow: it is locked, by its `step` perhaps; whoever waited would have all that share this transaction wait.
    """
    if session.connection().execute(_LOCK, {"job": job_id}).first() is None and exists(session, job_id):
        raise NotNow("This job is in the middle of a step, and cannot be told before that is through: try again.")
    values = {"job": job_id, "now": datetime.now(UTC), "why": why}
    return bool(session.connection().execute(_CANCEL, values).rowcount)


def offer(session: Session, kind: str) -> Row[Any] | None:
    """The consumer of this name: its options as JSON text, and since when it is on its way out."""
    offers = known(session)  # many share a transaction
    name = f"kind {kind}"
    if name not in offers:
        offers[name] = session.connection().execute(_OFFER, {"of_kind": kind}).one_or_none()
    offer: Row[Any] | None = offers[name]
    return offer


def _row(new: NewJob) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "id": new.id,
        "kind": new.kind,
        "state": "queued",
        "parameters": new.parameters,
        "unique_key": new.unique_key,
        "event_id": new.event_id,
        "requested_by": new.requested_by,
        "progress": 0.0,
        "progress_text": "",
        "attempts": 0,
        "created_at": now,
        "updated_at": now,
        "effects": 0,
        "worked": 0.0,
    }


def _files(session: Session, job_ids: list[str]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = {}
    if job_ids:
        for row in session.connection().execute(_FILES_OF, {"jobs": job_ids}):
            found.setdefault(row.job_id, []).append(row)
    return found
