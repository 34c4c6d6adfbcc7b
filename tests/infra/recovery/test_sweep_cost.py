"""The sweep costs as much as there is unsettled, whatever the log's length; tests/bench/sweep.py measures a million."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from infra.database.engine import Database
from infra.recovery import sweeping
from tests.eventlogs import DAY, fill, handle
from tests.infra.recovery.conftest import Bench, ago

LONG = 50_000
#: What a plan of PostgreSQL or SQLite says when a table is read from end to end.
_WHOLE = {"postgresql": "Seq Scan on {}", "sqlite": "SCAN {}"}


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Meanwhile, what is asked of the database."""
    seen: list[tuple[str, Any]] = []
    engines = (database.engine, database._reading)

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        seen.append((statement, parameters))

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def plan(database: Database, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    with database.reading() as session:
        rows = session.connection().exec_driver_sql(f"{explain} {statement}", parameters)
        return "\n".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize("types", [(), (DAY,)])
def test_a_pass_over_a_settled_log_reads_no_table_from_end_to_end(bench: Bench, types: tuple[str, ...]) -> None:
    bench.record(*types)
    fill(bench.database, LONG, at=ago(600))
    handle(bench.database, "sms", LONG)
    if not bench.database.is_sqlite:
        with bench.database.transaction() as session:
            session.connection().execute(text("ANALYZE"))
    while bench.row.scanned < LONG:
        bench.sweep()
    with statements(bench.database) as seen:
        bench.sweep()
        assert (LONG, 0) == (bench.standing.settled, bench.standing.lag_events)
    read = [plan(bench.database, *one) for one in seen if one[0].startswith("SELECT")]
    assert read
    for name in ("event_log", "inbox"):
        whole = _WHOLE[bench.database.engine.dialect.name].format(name)
        assert [] == [each for each in read if any(line.strip().startswith(whole) for line in each.splitlines())]
    assert [] == [one for one, _ in seen if one.startswith(("UPDATE", "DELETE", "INSERT"))]


def test_a_step_of_the_catch_up_is_bounded_in_events_and_in_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench.database, LONG, at=ago(600))
    handle(bench.database, "sms", LONG)
    assert bench.sweeping.sweep(bench.row).more
    first = bench.row.scanned
    assert first in range(1_000, 10_001, 1_000)
    monkeypatch.setattr(sweeping, "LONGEST_SCAN", -1.0)
    assert (True, first) == (bench.sweeping.sweep(bench.row).more, bench.row.scanned)
