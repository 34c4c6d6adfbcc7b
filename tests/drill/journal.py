"""The drill's journal: a row for each time that a handler's work was committed, with no key to hide a second one."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, func, insert, select

from infra.database.engine import Database
from infra.database.tables import BIG

JOURNAL = Table(
    "drill_journal",
    MetaData(),
    Column("sequence", BIG, primary_key=True),
    Column("event_id", String, nullable=False),
    Column("consumer", String, nullable=False),
    Column("subject", String, nullable=False),
    #: 0 for the registration, then the steps of its subject.
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    #: time.time().
    Column("at", Float, nullable=False),
    Index("drill_journal_subject", "subject"),
)
ADD = insert(JOURNAL)


def create(database: Database) -> None:
    """Make the table."""
    with database.transaction() as session:
        JOURNAL.create(session.connection())


def count_by_subject(connection: Any, subjects: Collection[str]) -> dict[str, int]:
    """How many different steps of each subject are through."""
    column = JOURNAL.c.subject
    query = select(column, func.count(JOURNAL.c.number.distinct())).where(column.in_(subjects)).group_by(column)
    return {str(subject): int(number) for subject, number in connection.execute(query)}


def rows(database: Database, consumer: str) -> Sequence[Any]:
    """What one consumer wrote, in the order of the commits."""
    query = select(JOURNAL).where(JOURNAL.c.consumer == consumer).order_by(JOURNAL.c.sequence)
    with database.reading() as session:
        return session.connection().execute(query).all()


def out_of_order(journal: Iterable[Any]) -> list[Any]:
    """Rows whose number is below that of the row before of their subject, though they are first tries."""
    highest: dict[str, int] = {}
    wrong = []
    for row in journal:
        if row.number < highest.get(row.subject, -1) and row.attempt == 1:
            wrong.append(row)
        highest[row.subject] = max(row.number, highest.get(row.subject, -1))
    return wrong
