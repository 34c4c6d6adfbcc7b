"""Whole logs of old events, as they are after months, made inside the database in a moment."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from infra.database import consumers
from infra.database.engine import Database
from infra.subscriptions import EVERY_TYPE, Subscription

_NUMBERS = {
    True: "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last) ",
    False: "WITH n(i) AS (SELECT generate_series(CAST(:first AS bigint), CAST(:last AS bigint))) ",
}
#: Ids of two million seconds, one each millisecond; a subject of its own for each event; bodies of the usual length.
_ID = {
    True: "printf('%08x-%04x-7000-8000-%012x', (:ms + i) >> 16, (:ms + i) & 65535, i)",
    False: "lpad(to_hex((:ms + i) >> 16), 8, '0') || '-' || lpad(to_hex((:ms + i) & 65535), 4, '0') || '-7000-8000-' "
    "|| lpad(to_hex(i), 12, '0')",
}
_AT = {
    True: "strftime('%Y-%m-%d %H:%M:%f', (:ms + i) / 1000.0, 'unixepoch') || '000'",
    False: "to_timestamp((:ms + i) / 1000.0)",
}
_SUBJECT = {True: "lower(hex(randomblob(16)))", False: "md5(CAST(random() AS text))"}
_BODY = {True: "printf('%0450d', i)", False: "lpad(CAST(i AS text), 450, '0')"}


def fill(database: Database, events: int, age: timedelta) -> None:
    """Fill the database with events of that age, which both of two consumers have handled, and the activity log."""
    lite = database.is_sqlite
    with database.transaction() as session:
        consumers.declare(session, [Subscription(name, (EVERY_TYPE,), print) for name in ("one", "two")])
    began = int((datetime.now(UTC) - age).timestamp() * 1000)
    for first in range(1, events + 1, 50_000):
        values = {"first": first, "last": min(first + 49_999, events), "ms": began}
        ids, at, subject, body = _ID[lite], _AT[lite], _SUBJECT[lite], _BODY[lite]
        log = f"SELECT i, {ids}, 'user.registered', {subject}, {body}, {at} FROM n"
        line = f"SELECT {ids}, 'user.registered', {subject}, {at} FROM n"
        statements = {
            "event_log (position, event_id, type, subject, body, published_at)": [log],
            "inbox (event_id, consumer, state, attempts, first_at, handled_at)": [
                f"SELECT {ids}, '{name}', 'handled', 1, {at}, {at} FROM n" for name in ("one", "two")
            ],
            "activity (event_id, type, subject, time)": [line],
        }
        for into, selects in statements.items():
            for select in selects:
                with database.transaction() as session:
                    session.connection().execute(text(f"INSERT INTO {into} {_NUMBERS[lite]}{select}"), values)
    with database.transaction() as session:
        session.connection().execute(text("UPDATE subscription SET scanned = :last"), {"last": events})
