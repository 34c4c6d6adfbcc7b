"""`/schemas/{type}/{version}` and `/event-types`: what an event's `dataschema` leads to, and what depends on a type."""

import json
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from events.envelope import encode, event_types
from events.users import UserRegistered
from infra.database import consumers
from infra.database.engine import Database
from infra.schemas.rendering import render
from infra.subscriptions import Subscription
from tests.envelopes import ada
from tests.problems import told, wrong


def test_the_dataschema_of_an_event_leads_to_its_schema(client: TestClient) -> None:
    """Anybody may read it, and it says of itself where it is."""
    place = json.loads(encode(ada()))["dataschema"]
    answer = client.get(place).raise_for_status()
    assert "application/schema+json" == answer.headers["content-type"]
    assert (place, render(UserRegistered)) == (answer.json()["$id"], answer.json())
    assert client.head(place).status_code == 200


def test_whoever_has_a_schema_keeps_it_and_asks_in_a_few_bytes(client: TestClient) -> None:
    first = client.get("/schemas/user.registered/1")
    assert "public, max-age=300" == first.headers["cache-control"]
    again = client.get("/schemas/user.registered/1", headers={"if-none-match": first.headers["etag"]})
    assert (304, b"", "public, max-age=300") == (again.status_code, again.content, again.headers["cache-control"])


@pytest.mark.parametrize(
    "place",
    ["user.registered/2", "nobody.knows/1", "..%2F..%2Fusers/1", "%00/1", quote("李") + "/1", "user.registered/999999"],
)
def test_a_schema_that_nobody_has_is_not_found(client: TestClient, place: str) -> None:
    """What is asked for never becomes a path of a file."""
    assert (404, "not-known") == told(client.get(f"/schemas/{place}")) or 404 == client.get(
        f"/schemas/{place}"
    ).status_code


@pytest.mark.parametrize("version", ["0", "-1", "one", "1.5", "1000000"])
def test_a_version_is_a_number_from_1(client: TestClient, version: str) -> None:
    assert ["version"] == wrong(client.get(f"/schemas/user.registered/{version}"))


def test_every_type_is_listed_by_name_in_pages(operator: TestClient, database: Database) -> None:
    with database.transaction() as session:
        consumers.declare(session, [Subscription("sms", ("user.registered",), print)])
    names, cursor = [], None
    while True:
        page = operator.get("/event-types", params={"limit": 5} | ({"cursor": cursor} if cursor else {})).json()
        names += [item["type"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert names == list(event_types())
    (item,) = operator.get("/event-types", params={"text": "registered"}).json()["items"]
    assert ("user.registered", [1], "user_id", ["sms"]) == (
        item["type"], item["versions"], item["subject"], item["consumers"]
    )  # fmt: skip


def test_what_depends_on_a_type_is_told(operator: TestClient, database: Database) -> None:
    with database.transaction() as session:
        consumers.declare(session, [Subscription("sms", ("user.registered",), print)])
    shown = operator.get("/event-types/user.registered").raise_for_status().json()
    assert (["gateway"], ["sms"]) == (
        [each["name"] for each in shown["publishers"]], [each["name"] for each in shown["consumers"]]
    )  # fmt: skip
    assert {"accepted": 0, "waiting": 0, "set_aside": 0} == shown["outbox"]


def test_a_type_that_nobody_knows_is_not_found(operator: TestClient) -> None:
    assert 404 == told(operator.get("/event-types/nobody.knows"))[0]
