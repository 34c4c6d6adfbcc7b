"""The activity log over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from starlette.testclient import TestClient
from uuid_utils import uuid7

from infra.database.engine import Database
from infra.database.tables import Activity, table

START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture
def lines(database: Database) -> list[dict[str, Any]]:
    """Six lines of two types about three subjects, a minute apart, as the API shows them."""
    rows: list[dict[str, Any]] = [
        {
            "event_id": str(uuid7()),
            "type": "user.registered" if n % 2 else "heartbeat.ticked",
            "subject": f"s{n % 3}" if n % 2 else None,
            "time": START + timedelta(minutes=n),
        }
        for n in range(6)
    ]
    with database.transaction() as session:
        session.connection().execute(insert(table(Activity)), rows)
    return [{**row, "time": row["time"].isoformat().replace("+00:00", "Z")} for row in rows]


def found(operator: TestClient, **query: Any) -> list[dict[str, Any]]:
    """The items of one page."""
    items: list[dict[str, Any]] = operator.get("/activity", params=query).raise_for_status().json()["items"]
    return items


def test_activity_is_listed_newest_first(operator: TestClient, lines: list[dict[str, Any]]) -> None:
    assert found(operator) == lines[::-1]


def test_activity_is_filtered_by_type_subject_and_time(operator: TestClient, lines: list[dict[str, Any]]) -> None:
    assert found(operator, type="user.registered") == [lines[5], lines[3], lines[1]]
    assert found(operator, subject="s0") == [lines[3]]
    assert found(operator, since="2026-11-22T09:34:00Z") == [lines[5], lines[4]]
    assert found(operator, type="user.registered", since="2026-11-22T11:34:00+02:00") == [lines[5]]
    assert found(operator, type="nothing.happened") == []


def test_activity_is_walked_in_pages(operator: TestClient, lines: list[dict[str, Any]]) -> None:
    first = operator.get("/activity?limit=4").json()
    second = operator.get("/activity", params={"limit": 4, "cursor": first["next"]}).json()
    assert (first["items"] + second["items"], second["next"]) == (lines[::-1], None)
