"""Long event logs, and inboxes to go with them, made inside the database in a moment."""

from datetime import UTC, datetime

from sqlalchemy import text

from infra.database.engine import Database

#: What the events are, by their position: every tenth is of another type.
USER, DAY = "user.registered", "day.ended"
_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last) ",
    "postgresql": "WITH n(i) AS (SELECT generate_series(CAST(:first AS bigint), CAST(:last AS bigint))) ",
}
_ID = {"sqlite": "printf('event-%08d', i)", "postgresql": "'event-' || lpad(CAST(i AS text), 8, '0')"}


def event_id(position: int) -> str:
    """The id of the event at a position."""
    return f"event-{position:08}"


def fill(database: Database, last: int, first: int = 1, *, at: datetime | None = None, every: int = 10) -> None:
    """Fill the log with events at these positions, published at that time or now; every so many of the other type."""
    kind = f"CASE WHEN i % {every} = 0 THEN '{DAY}' ELSE '{USER}' END"
    _run(
        database,
        "INSERT INTO event_log (position, event_id, type, subject, body, published_at) ",
        f"SELECT i, {_id(database)}, {kind}, NULL, 'body ' || i, :at FROM n",
        first=first, last=last, at=_moment(database, at),
    )  # fmt: skip


def handle(database: Database, consumer: str, last: int, first: int = 1, *, state: str = "handled") -> None:
    """Have a consumer handle the events at these positions, of whatever type they are."""
    _run(
        database,
        "INSERT INTO inbox (event_id, consumer, state, attempts, first_at, handled_at) ",
        f"SELECT {_id(database)}, '{consumer}', '{state}', 1, :at, :at FROM n",
        first=first, last=last, at=_moment(database, None),
    )  # fmt: skip


def _id(database: Database) -> str:
    return _ID[database.engine.dialect.name]


def _moment(database: Database, at: datetime | None) -> object:
    moment = (at or datetime.now(UTC)).astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f") if database.is_sqlite else moment


def _run(database: Database, insert: str, select: str, **values: object) -> None:
    with database.transaction() as session:
        session.connection().execute(text(insert + _NUMBERS[database.engine.dialect.name] + select), values)
