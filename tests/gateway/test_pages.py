"""Lists: newest first, in pages, and each row once however many arrive meanwhile."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.problems import wrong

LISTS = ["/users", "/events", "/activity"]

#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def add_users(client: TestClient, first: int, last: int) -> list[str]:
    """Register several; their ids."""
    people = ({"name": "N", "email": f"n{n}@example.com"} for n in range(first, last))
    return [client.post("/users", json=person).json()["id"] for person in people]


def cursor(text: str) -> str:
    """What a cursor with this inside looks like."""
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_a_walk_sees_each_row_once_while_new_ones_arrive(client: TestClient, operator: TestClient, limit: int) -> None:
    there = add_users(client, 0, 7)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = operator.get("/users", params=query).json()
        assert len(page["items"]) <= limit
        seen += [user["id"] for user in page["items"]]
        if page["next"] is None:
            break
        add_users(client, 100 * len(seen), 100 * len(seen) + 2)
        query["cursor"] = page["next"]
    assert there[::-1] == seen


def test_the_last_page_says_so_when_it_is_just_full(client: TestClient, operator: TestClient) -> None:
    add_users(client, 0, 4)
    assert operator.get("/users?limit=4").json()["next"] is None


def test_there_are_50_rows_in_a_page_by_default(client: TestClient, operator: TestClient) -> None:
    add_users(client, 0, 51)
    assert len(operator.get("/users").json()["items"]) == 50


@one_database
@pytest.mark.parametrize("limit", ["0", "-1", "201", "1.5", "ten", "", "9" * 5000, "%00"])
def test_a_page_has_1_to_200_rows(operator: TestClient, limit: str) -> None:
    for path in LISTS:
        assert wrong(operator.get(f"{path}?limit={limit}")) == ["limit"]


@one_database
@pytest.mark.parametrize(
    "bad",
    ["x", "%00", "é", "....", "=", "a" * 201, cursor("users:5"), cursor("events:x"), cursor("events:-1"),
     cursor("events:" + "9" * 19), cursor("events:²"), cursor("activity:1"), cursor("users:\x00"), cursor(":"),
     cursor("users:00000000-0000-0000-0000-00000000000G")],
)  # fmt: skip
def test_a_cursor_that_this_list_has_not_given_is_refused_by_name(operator: TestClient, bad: str) -> None:
    for path in LISTS:
        assert wrong(operator.get(f"{path}?cursor={bad}")) == ["cursor"]


def test_a_cursor_of_one_list_is_refused_by_another(client: TestClient, operator: TestClient) -> None:
    add_users(client, 0, 2)
    place = operator.get("/users?limit=1").json()["next"]
    assert operator.get(f"/activity?cursor={place}").status_code == 422


@one_database
def test_a_mistyped_filter_is_an_error(operator: TestClient) -> None:
    for path in LISTS:
        assert wrong(operator.get(f"{path}?typ=user.registered")) == ["typ"]


@one_database
@pytest.mark.parametrize(
    "query",
    ["type=", "type=%00", "subject=%0a", "type=" + "x" * 501, "since=yesterday", "since=2026-11-22T09:30:00", "since=",
     "since=0001-01-01T00:00:00%2B14:00", "since=9999-12-31T23:59:59-14:00", "since=" + "9" * 400],
)  # fmt: skip
def test_a_filter_that_can_match_nothing_is_an_error(operator: TestClient, query: str) -> None:
    for path in LISTS[1:]:
        assert wrong(operator.get(f"{path}?{query}")) == [query.partition("=")[0]]
