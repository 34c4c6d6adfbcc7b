"""`/asyncapi.json`: made from what is recorded, for everybody, and kept by whoever has it already."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gateway.app import create_app
from infra.database import consumers, schedules
from infra.database.engine import Database, connect
from infra.settings import Settings
from infra.subscriptions import Subscription
from tests.documents import faults
from tests.problems import told

SMS = Subscription("sms", ("user.registered",), print, description="Sends a message.", publishes=("user.week.passed",))


def declare(database: Database, *subscriptions: Subscription) -> None:
    with database.transaction() as session:
        consumers.declare(session, subscriptions)


def test_it_is_valid_and_tells_who_sends_and_who_receives(client: TestClient, database: Database) -> None:
    declare(database, SMS)
    answer = client.get("/asyncapi.json").raise_for_status()
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert [] == faults(found)
    assert {"program-gateway-sends-user.registered", "sms-receives", "sms-sends-user.week.passed"} <= found[
        "operations"
    ].keys()


def test_what_registering_announces_is_among_what_the_gateway_says_that_it_sends(
    operator: TestClient, ada: dict[str, str]
) -> None:
    operator.post("/users", json=ada).raise_for_status()
    (item,) = operator.get("/events", params={"state": "accepted"}).json()["items"]
    assert f"program-gateway-sends-{item['type']}" in operator.get("/asyncapi.json").json()["operations"]


def test_schedules_of_the_code_send_and_those_of_operators_are_nobody_elses_business(
    client: TestClient, database: Database
) -> None:
    own = schedules.Definition(name="heartbeat", trigger={"every": "10s"}, type="heartbeat.ticked")
    with database.transaction() as session:
        schedules.declare(session, [own])
        schedules.add(session, replace(own, name="secret-project"))
    text = client.get("/asyncapi.json").text
    assert "schedule-heartbeat-sends-heartbeat.ticked" in text
    assert "secret-project" not in text


def test_whoever_has_it_already_is_told_so_until_it_changes(client: TestClient, database: Database) -> None:
    first = client.get("/asyncapi.json")
    known = {"if-none-match": first.headers["etag"]}
    again = client.get("/asyncapi.json", headers=known)
    assert (304, b"", first.headers["etag"]) == (again.status_code, again.content, again.headers["etag"])
    declare(database, SMS)
    changed = client.get("/asyncapi.json", headers=known)
    assert 200 == changed.status_code
    assert changed.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestWithABroker:
    """Over a broker that has an address."""

    @pytest.fixture
    def app(self, settings: Settings, database: Database) -> FastAPI:
        url = "amqp://tidings:secret@127.0.0.1:1/bus"
        return create_app(settings.model_copy(update={"rabbitmq_url": url}), database, None)

    def test_it_is_served_while_the_broker_is_away_and_tells_where_it_is(self, client: TestClient) -> None:
        found = client.get("/asyncapi.json").raise_for_status()
        assert ["127.0.0.1:1"] == [each["host"] for each in found.json()["servers"].values()]
        assert "secret" not in found.text


@pytest.fixture
def homeless(settings: Settings) -> Iterator[TestClient]:
    """A client of a gateway whose database is away."""
    database = connect("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    yield TestClient(create_app(settings, database, None))
    database.close()


def test_without_the_database_it_is_a_503(homeless: TestClient) -> None:
    assert (503, "unavailable") == told(homeless.get("/asyncapi.json"))
