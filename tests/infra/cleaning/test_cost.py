"""The cleaning costs as much as it removes, whatever the tables' length; tests/bench/cleaning.py removes a million."""

from typing import Any

import pytest
from sqlalchemy import text

from infra.cleaning import cleaning
from infra.database.tables import Activity, Effect, EventLog, Inbox
from tests.infra.recovery.test_sweep_cost import plan, statements
from tests.oldlogs import fill
from tests.oldrows import DAY, KEPT, Rows, ago

EVENTS = 20_000
#: What a plan of PostgreSQL or SQLite says when a table is read from end to end.
_WHOLE = {"postgresql": "Seq Scan on {}", "sqlite": "SCAN {}"}


def plans(rows: Rows, seen: list[tuple[str, Any]]) -> list[str]:
    return [plan(rows.database, *one) for one in seen if one[0].startswith(("SELECT", "DELETE", "UPDATE"))]


def test_no_long_table_is_read_from_end_to_end(rows: Rows) -> None:
    fill(rows.database, EVENTS, 20 * DAY)
    rows.log((EVENTS + 1, 11 * DAY))
    if not rows.database.is_sqlite:
        with rows.database.transaction() as session:
            session.connection().execute(text("ANALYZE"))
    with statements(rows.database) as seen:
        rows.clean(seconds=0.0)  # a slice of each
    read = plans(rows, seen)
    for name in ("event_log", "inbox", "activity"):
        whole = _WHOLE[rows.database.engine.dialect.name].format(name)
        bad = [each for each in read if any(line.strip().lstrip("-> ").startswith(whole) for line in each.splitlines())]
        assert [] == bad, whole


@pytest.mark.parametrize("most", [1, 7])
def test_a_transaction_removes_a_batch_at_most_even_where_all_rows_have_one_key(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", most)
    moment = ago(KEPT.activity + DAY)
    same: dict[str, Any] = {"type": "t", "subject": None, "time": moment}
    rows.insert(Activity, *(same | {"event_id": f"{number:036}"} for number in range(20)))
    told: list[int] = []
    with statements(rows.database) as seen:
        rows.clean(tell=lambda _, removed: told.append(removed))
    assert ([0], [*range(most, 20, most), 20]) == (rows.count(Activity), told)
    assert len(told) == len([one for one, _ in seen if one.startswith("DELETE FROM activity")])


def test_a_cleaning_of_a_whole_log_leaves_what_is_new(rows: Rows) -> None:
    fill(rows.database, 3_000, 20 * DAY)
    rows.log((3_001, DAY))
    rows.handled(rows.of(EventLog, "event_id")[-1], DAY, "one")
    rows.clean()
    assert [1, 1, 1, 0] == rows.count(EventLog, Inbox, Effect, Activity)
