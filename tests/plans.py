"""How the database goes about the queries of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, text

from infra.database.engine import Database


@contextmanager
def plans(database: Database) -> Iterator[list[str]]:
    """Meanwhile, the plan of each query.

    PostgreSQL's planner is told first what it would learn by itself in a minute; SQLite's is told nothing by anybody.
    """
    if not database.is_sqlite:
        with database.transaction() as session:
            session.connection().execute(text("ANALYZE"))
    found: list[str] = []
    words = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"

    def explain(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            rows = connection.exec_driver_sql(f"{words} {statement}", parameters)
            found.append("\n".join(str(row[-1]) for row in rows))

    engines = (database.engine, database._reading)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", explain)


def scanned(plan: str, table: str) -> bool:
    """Whether it reads this table from end to end, on either kind of database."""
    return any(
        line.strip().removeprefix("->  ").startswith((f"SCAN {table}", f"Seq Scan on {table}", "Parallel Seq Scan"))
        for line in plan.splitlines()
    )
